"""Explains why no worker is alive although runs remain: how the last ones ended, their log, and its last line."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from optathlon.results import Store
from optathlon.results.store.files import exists
from optathlon.suite import readable
from optathlon.suite.monitoring import alive_workers
from optathlon.suite.monitoring.alive_workers import HANDLE, Submitted, Workers

TAIL, LINE = 16_384, 500  # bytes of a log, characters of a line
LOGS = ("log.txt", "*_log.out")
SUBMITTED = "_submitted.pkl"  # submitit writes one a copy before anything runs


@dataclass(frozen=True)
class Last:
    """The workers of a sweep's newest launch, all of them over. log: the one that was written to last; said: its last
    line; ended: when that was. folder: where logs would be. states: how Slurm says that so many of them ended."""

    folder: Path
    log: Path | None = None
    said: str = ""
    ended: str = ""
    states: Mapping[str, int] = field(default_factory=dict)

    def told(self) -> list[str]:
        """For people."""
        slurm = ", ".join(f"{count} {state}" for state, count in self.states.items())
        by_slurm = f" (Slurm: {slurm})" if slurm else ""
        if self.log is None:
            return [
                f"the last launch's workers are over{by_slurm} and left no log in {self.folder}: "
                "can the nodes write there?"
            ]
        said = f", its last words: {self.said}" if self.said else ", without a word"
        return [f"the last worker ended at {self.ended}{by_slurm}{said}", f"  its log: {self.log}"]


def last(store: Store, there: Workers) -> Last | None:
    """How the newest launch's workers ended; None if one is alive, none was started, or that cannot be told here."""
    if (
        any(there.alive.values())
        or not (jobs := _newest(store, there))
        or any(not there.alive[job].known for job in jobs)
    ):
        return None
    folders = [store.root / job.folder for job in jobs]
    states = Counter(_states(zip(jobs, folders, strict=True)))
    found = [(path.stat().st_mtime, path) for folder in folders for path in _logs(folder)]
    if not found:
        return Last(folders[-1], states=states)
    at, log = max(found)
    return Last(
        log.parent, log, _last_line(log), datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"), states
    )


def _newest(store: Store, there: Workers) -> list[Submitted]:
    """The jobs of the newest launch that submitted any."""
    folders = {job: store.root / job.folder for job in there.alive if job.folder}
    kept = [job for job, folder in folders.items() if exists(folder / HANDLE) or _logs(folder)]
    newest = max((job.launch for job in kept), default=None)
    return [job for job in kept if job.launch == newest]


def _logs(folder: Path) -> list[Path]:
    return [path for pattern in LOGS for path in folder.glob(pattern)]


def _states(jobs: Iterable[tuple[Submitted, Path]]) -> Iterator[str]:
    names: list[str] = []
    for job, folder in jobs:
        if job.cluster == "slurm":
            copies = (path.name.removesuffix(SUBMITTED) for path in folder.glob(f"*{SUBMITTED}"))
            names += [f"{job.handle}:{copy}" for copy in copies]
    slurm = alive_workers.cluster("slurm")
    if names and isinstance(slurm, alive_workers.SlurmCluster):
        yield from sorted(slurm.ended(names).values())


def _last_line(log: Path) -> str:
    """The last line that is not srun's or submitit's own, which only say that something was over."""
    lines: Sequence[str] = ()
    with contextlib.suppress(OSError), log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    told = [line for line in lines if not line.startswith(("srun: ", "submitit INFO"))] or lines
    return readable.legible(told[-1], LINE) if told else ""
