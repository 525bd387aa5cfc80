"""The interface of a place where jobs run: submit a job, ask which of its copies are alive, cancel it."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

PYTHON = "{python}"
"""As a job's first word: the Python interpreter of the machine, environment or container that the job runs in."""


class ClusterError(RuntimeError):
    """A cluster refuses a job or does not answer; the message holds the cluster's words."""


@dataclass(frozen=True)
class Resources:
    """What each copy of a job is given. A field that is None is left to the cluster's default."""

    partition: str | None = None
    """This field and the next five are sbatch's options of the same names."""
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    reservation: str | None = None
    exclude: str | None = None
    nodes: int = 1
    processes: int = 1
    """Per node. Where there are several in all, each runs the job's command and finds its rank in SLURM_PROCID."""
    gpus: str | None = None
    """Per node: "2", "a100:2"."""
    cpus: int = 1
    """Per process."""
    memory: str | None = None
    """Per node: "32G"."""
    minutes: int | None = None
    """The time limit."""
    notice: int = 120
    """How many seconds before the time limit the job is sent SIGUSR2."""
    setup: tuple[str, ...] = ()
    """Shell lines that run before anything else."""
    python: str | None = None
    """The command that starts Python on the node, for instance inside a container."""
    srun: tuple[str, ...] = ()
    """Further options of srun."""
    sbatch: Mapping[str, str | int | bool] = field(default_factory=dict)
    """Further options of sbatch."""


@dataclass(frozen=True)
class Job:
    """A command for a cluster to run."""

    argv: tuple[str, ...]
    name: str
    """Unique on a cluster that has queues."""
    folder: Path
    """Private to the job; its log is written there."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Added to the caller's environment."""
    copies: int = 1
    """How many times the command is run; a cluster without queues runs it once."""
    resources: Resources = field(default_factory=Resources)
    """What each copy is given."""
    after: tuple[str, ...] = ()
    """Handles of jobs that must be over before this one starts; a cluster without queues starts it at once."""


@dataclass(frozen=True)
class Alive:
    """The copies of a job that are not over, by the names that `this_job` returns inside them."""

    running: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    """Every copy that waits in the queue."""
    behind: frozenset[str] = frozenset()
    """The pending copies that wait for other jobs to end."""
    held: frozenset[str] = frozenset()
    """The pending copies that start only when somebody releases them."""
    never: frozenset[str] = frozenset()
    """The pending copies that cannot start as they were submitted."""
    why: Mapping[str, str] = field(default_factory=dict)
    """Why each pending copy waits, in the scheduler's words."""
    known: bool = True
    """False where this process cannot tell: the job is another machine's, or the controller does not answer."""

    def __bool__(self) -> bool:
        return bool(self.running or self.pending)

    @property
    def reasons(self) -> set[str]:
        """The distinct reasons why copies wait."""
        return set(self.why.values())


class Cluster(ABC):
    """A place where jobs run. A job's handle is a string by which any later process can ask about it and cancel it."""

    @abstractmethod
    def submit(self, job: Job) -> str:
        """Starts `job`, or queues it; returns its handle. Raises ClusterError."""

    @abstractmethod
    def alive(self, handles: Iterable[str]) -> dict[str, Alive]:
        """Returns, per handle, the copies that are not over."""

    @abstractmethod
    def cancel(self, handles: Iterable[str]) -> list[str]:
        """Asks the jobs to stop, so that their runs save; returns the handles of those that were alive.

        Raises ClusterError where that cannot be done now.
        """


def this_job(environment: Mapping[str, str] = os.environ) -> tuple[str | None, int]:
    """Returns the name of the copy of a job that this process belongs to, and how often it was restarted.

    The name is unique over clusters and time. Outside of a job: (None, 0).
    """
    if not (job := environment.get("SLURM_JOB_ID")):
        return None, 0
    if array := environment.get("SLURM_ARRAY_JOB_ID"):
        job = f"{array}_{environment.get('SLURM_ARRAY_TASK_ID', '0')}"
    parts = (environment.get(f"SLURM_{key}", "") for key in ("CLUSTER_NAME", "JOB_USER", "JOB_NAME"))
    return ":".join(("slurm", *parts, job)), int(environment.get("SLURM_RESTART_COUNT") or 0)


def position_in_array(environment: Mapping[str, str] = os.environ) -> float:
    """Returns where this copy stands among all copies of its job, from 0 to below 1; 0 outside of a job."""
    index, count = (environment.get(f"SLURM_ARRAY_TASK_{key}", "") for key in ("ID", "COUNT"))
    return int(index) / int(count) if index.isdecimal() and count.isdecimal() and 0 <= int(index) < int(count) else 0.0
