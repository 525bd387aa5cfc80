"""What one process goes through alone, where pytest-xdist has several: with `--dist loadgroup` single tests, with
`--dist loadfile` whole files, whose fixtures and imports are then made once; with both, the groups of files below.

The mark xdist_group does nothing with pytest 9.2 and pytest-xdist 3.8, as a test's id no longer takes its suffix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xdist.scheduler import LoadGroupScheduling

GROUPS = {
    "tests/slurm/test_slurm.py": "slurm",  # one process starts a real Slurm
    "tests/slurm/test_queue.py": "slurm",
    "tests/slurm/test_sweeps.py": "slurm",
    "tests/test_house.py": "house",  # one process parses all modules
}


def group_of(test: str) -> str | None:
    """The group of a test, by its id; None of one that any process may run."""
    return GROUPS.get(test.partition("::")[0])


def process_per_group(config: Any, log: Any) -> LoadGroupScheduling:
    """What hands the tests out to pytest-xdist's processes: a group to one of them, others to whoever is free."""
    from xdist.scheduler import LoadGroupScheduling

    whole_files = config.getvalue("dist") == "loadfile"

    class ProcessPerGroup(LoadGroupScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid) or (nodeid.partition("::")[0] if whole_files else nodeid)

    return ProcessPerGroup(config, log)
