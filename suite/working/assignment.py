"""What a worker works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.suite.planning.ready_runs import Stage


@dataclass(frozen=True)
class Assignment:
    """What a worker works on. slots: at most so many runs at once. canary: see suite.wanted.

    tasks: only theirs (none: all). leave: do not stay for what runs elsewhere, unless it holds this worker's runs back.
    """

    store: Store
    plan: Plan
    data: Path
    stage: Stage = "all"
    slots: int | None = None
    data_workers: int = 0
    canary: bool = False
    tasks: frozenset[str] = frozenset()
    leave: bool = False
