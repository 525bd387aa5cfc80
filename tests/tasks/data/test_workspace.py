"""Folders to work in: gone afterwards, and after a kill gone with the next one; never taken from a living process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from optathlon.tasks.data.workspace import workspace

HOLD = """
import sys
from pathlib import Path
from optathlon.tasks.data.workspace import workspace
with workspace(Path(sys.argv[1]), ".work-") as work:
    (work / "half").write_text("done")
    print(work.name, flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> tuple[subprocess.Popen[str], str]:
    """Another process that holds a workspace until its input ends, and the workspace's name."""
    command = [sys.executable, "-c", HOLD, str(folder)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def test_a_workspace_is_gone_at_the_end_unless_it_was_given_its_name(tmp_path: Path) -> None:
    with workspace(tmp_path, ".work-") as work:
        (work / "file").touch()
    assert [*tmp_path.iterdir()] == []
    with workspace(tmp_path, ".work-") as work:
        work.rename(tmp_path / "made")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_an_error_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), workspace(tmp_path, ".work-"):
        raise ZeroDivisionError
    assert [*tmp_path.iterdir()] == []


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path: Path) -> None:
    process, name = holder(tmp_path)
    with workspace(tmp_path, ".work-"):
        assert (tmp_path / name / "half").is_file()
    process.kill()
    process.communicate()
    assert (tmp_path / name / "half").is_file()
    with workspace(tmp_path, ".work-") as work:
        assert [*tmp_path.iterdir()] == [work]


def test_it_is_as_open_to_others_as_its_folder(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with workspace(tmp_path, ".work-") as work:
        assert work.stat().st_mode & 0o777 == 0o755
