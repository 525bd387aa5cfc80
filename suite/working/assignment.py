"""What a worker works on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.planning.ready_runs import Stage
from optathlon.suite.planning.scope import ALL, Scope


@dataclass(frozen=True)
class Assignment:
    """What a worker works on."""

    store: Store
    plan: Plan
    data: Path
    stage: Stage = "all"
    slots: int | None = None
    """At most so many runs at once; None: as many as the machine has slots."""
    data_workers: int = 0
    """Processes per run that load data ahead."""
    implementation: str = "auto"
    """How runs that begin are to step; see optimizers.spec.IMPLEMENTATIONS."""
    networks: NetworkOptions = AS_TASKS_SAY
    """How the networks of runs that begin are laid out and carried out."""
    canary: bool = False
    """Whether runs wait for the first one of their kind; see planning.ready_runs."""
    scope: Scope = ALL
    """Only runs of these tasks and rows."""
    leave: bool = False
    """Whether to leave what runs elsewhere to others, unless it holds this worker's runs back."""
