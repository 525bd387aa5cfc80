"""What every place to run offers: submit a job, ask what of it is alive, cancel."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = "{python}"
"""As a job's first word: the Python interpreter of the machine, environment or container that the job runs in."""


class ClusterError(RuntimeError):
    """A cluster refuses a job or does not answer; the message says what it said."""


@dataclass(frozen=True)
class Resources:
    """What each copy of a job is given, in Slurm's words; None: what the cluster gives without being asked.

    processes: on each node; with several in all, each is started with the job's words and finds its rank in
    SLURM_PROCID. gpus, memory: of each node ("2", "a100:2"; "32G"). cpus: of each process. minutes: the time limit.
    notice: seconds before it at which a job is told. setup: shell lines before anything else. python: the command that
    starts Python there, a container's perhaps. srun, sbatch: more options of both.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    exclude: str | None = None
    nodes: int = 1
    processes: int = 1
    gpus: str | None = None
    cpus: int = 1
    memory: str | None = None
    minutes: int | None = None
    notice: int = 120
    setup: tuple[str, ...] = ()
    python: str | None = None
    srun: tuple[str, ...] = ()
    sbatch: Mapping[str, str | int | bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Job:
    """A command to run, in so many `copies`, each with `resources`, once the jobs with the handles `after` are over.

    name: unique on a cluster that has queues. folder: private to the job; it takes its log. environment: added to the
    caller's. A cluster without queues starts one copy at once.
    """

    argv: tuple[str, ...]
    name: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    copies: int = 1
    resources: Resources = field(default_factory=Resources)
    after: tuple[str, ...] = ()


@dataclass(frozen=True)
class Alive:
    """What is left of a job: the names of its copies, as `this_job` tells them inside.

    pending: all that wait; of these `behind` come after other jobs, `held` start only when somebody releases them, and
    `never` cannot start as they were submitted. why: the reasons of those that wait, in the scheduler's words.
    known: False where this process cannot tell (another machine, a controller that does not answer).
    """

    running: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    behind: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    why: Mapping[str, str] = field(default_factory=dict)
    known: bool = True

    def __bool__(self) -> bool:
        return bool(self.running or self.pending)

    @property
    def reasons(self) -> set[str]:
        """Why copies wait, each reason once."""
        return set(self.why.values())


class Cluster(ABC):
    """Handles are strings that another process, later, can ask about and cancel."""

    @abstractmethod
    def submit(self, job: Job) -> str:
        """Start `job`, or queue it; returns its handle. Raises ClusterError."""

    @abstractmethod
    def alive(self, handles: Iterable[str]) -> dict[str, Alive]:
        """What is alive of each job."""

    @abstractmethod
    def cancel(self, handles: Iterable[str]) -> list[str]:
        """Ask the jobs to stop, which lets their runs save; returns the handles that were asked. Raises ClusterError
        where that cannot be done now."""


def this_job(environment: Mapping[str, str] = os.environ) -> tuple[str | None, int]:
    """The name of the copy of a job that this process belongs to, unique over clusters and time, and how often it was
    restarted; (None, 0) outside of one."""
    if not (job := environment.get("SLURM_JOB_ID")):
        return None, 0
    if array := environment.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{environment.get('SLURM_ARRAY_TASK_ID', '0')}"
    parts = (environment.get(f"SLURM_{key}", "") for key in ("CLUSTER_NAME", "JOB_USER", "JOB_NAME"))
    return ":".join(("slurm", *parts, job)), int(environment.get("SLURM_RESTART_COUNT") or 0)


def position_in_array(environment: Mapping[str, str] = os.environ) -> float:
    """Returns where this copy of a job stands among all of them, from 0 to below 1; 0 outside of one."""
    index, count = (environment.get(f"SLURM_ARRAY_TASK_{key}", "") for key in ("ID", "COUNT"))
    return int(index) / int(count) if index.isdecimal() and count.isdecimal() and 0 <= int(index) < int(count) else 0.0
