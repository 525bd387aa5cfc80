"""Explains why no worker is alive although runs remain: how the last ones ended, their log, and its last line."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from optathlon.results import Store, StoreError
from optathlon.results.store.files import exists, open_to_read
from optathlon.suite import error_text
from optathlon.suite.monitoring import alive_workers
from optathlon.suite.monitoring.alive_workers import HANDLE, Submitted, Workers

TAIL_BYTES, LINE_CHARACTERS = 16_384, 500
"""How much of a log's end is searched for its last line, and how much of that is shown."""

LOGS = ("log.txt", "*_log.out")
"""Names of a local worker's log and of submitit's."""

SUBMITTED = "_submitted.pkl"
"""How the name of a file ends that submitit writes per copy before anything runs."""


@dataclass(frozen=True)
class EndedWorkers:
    """The workers of a sweep's newest launch, all of them over."""

    folder: Path
    """Where their logs would be."""
    log: Path | None = None
    """The log that was written to last."""
    last_line: str = ""
    """Of that log."""
    ended: str = ""
    """When that log was last written to."""
    states: Mapping[str, int] = field(default_factory=dict)
    """How many of the copies ended in which of Slurm's states."""

    def explain(self) -> list[str]:
        """Returns lines for people."""
        slurm = ", ".join(f"{count} {state}" for state, count in self.states.items())
        by_slurm = f" (Slurm: {slurm})" if slurm else ""
        if self.log is None:
            return [
                f"the last launch's workers are over{by_slurm} and left no log in {self.folder}: "
                "can the nodes write there?"
            ]
        words = f", its last words: {self.last_line}" if self.last_line else ", without a word"
        return [f"the last worker ended at {self.ended}{by_slurm}{words}", f"  its log: {self.log}"]


def of_newest_launch(store: Store, workers: Workers) -> EndedWorkers | None:
    """Returns how the newest launch's workers ended; None if any worker is alive, none was started, or it is not known.

    workers: all of a sweep, as `alive_workers.look` returns them.
    """
    jobs = _newest(store, workers)
    if any(workers.alive.values()) or not jobs or any(not workers.alive[job].known for job in jobs):
        return None
    folders = [store.root / job.folder for job in jobs]
    states = Counter(_states(zip(jobs, folders, strict=True)))
    logs = [(path.stat().st_mtime, path) for folder in folders for path in _logs(folder)]
    if not logs:
        return EndedWorkers(folders[-1], states=states)
    written, log = max(logs)
    ended = datetime.fromtimestamp(written, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return EndedWorkers(log.parent, log, _last_line(log), ended, states)


def _newest(store: Store, workers: Workers) -> list[Submitted]:
    """Returns the jobs of the newest launch that submitted any."""
    folders = {job: store.root / job.folder for job in workers.alive if job.folder}
    submitted = [job for job, folder in folders.items() if exists(folder / HANDLE) or _logs(folder)]
    newest = max((job.launch for job in submitted), default=None)
    return [job for job in submitted if job.launch == newest]


def _logs(folder: Path) -> list[Path]:
    return [path for pattern in LOGS for path in folder.glob(pattern)]


def _states(jobs: Iterable[tuple[Submitted, Path]]) -> Iterator[str]:
    """Yields Slurm's final state of each copy of `jobs`, given with their folders; nothing where Slurm is not asked."""
    names: list[str] = []
    for job, folder in jobs:
        if job.cluster == "slurm":
            copies = (path.name.removesuffix(SUBMITTED) for path in folder.glob(f"*{SUBMITTED}"))
            names += [f"{job.handle}:{copy}" for copy in copies]
    slurm = alive_workers.cluster("slurm")
    if names and isinstance(slurm, alive_workers.SlurmCluster):
        yield from sorted(slurm.ended(names).values())


def _last_line(log: Path) -> str:
    """Returns the last line that is not srun's or submitit's own: those only say that something is over."""
    lines: Sequence[str] = ()
    with contextlib.suppress(OSError, StoreError), open_to_read(log) as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("srun: ", "submitit INFO"))] or lines
    return error_text.legible(telling[-1], LINE_CHARACTERS) if telling else ""
