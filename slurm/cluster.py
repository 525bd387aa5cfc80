"""What every place to run offers: submit a job, ask for states, cancel."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

JobState = Literal["pending", "running", "gone", "unknown"]


@dataclass(frozen=True)
class Job:
    """A command to run; `folder` is private to the job and takes its log. environment: added to the caller's."""

    argv: tuple[str, ...]
    name: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


class Cluster(ABC):
    """Handles are strings that another process, later, can ask about and cancel."""

    @abstractmethod
    def submit(self, job: Job) -> str:
        """Start `job`, or queue it; returns its handle."""

    @abstractmethod
    def states(self, handles: Iterable[str]) -> dict[str, JobState]:
        """The state of each job; "unknown" where this process cannot tell (another machine)."""

    @abstractmethod
    def cancel(self, handles: Iterable[str]) -> list[str]:
        """Ask the jobs to stop, which lets their runs save; returns the handles that were asked."""
