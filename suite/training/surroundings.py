"""What a run needs from outside: where checkpoints go, who wants to know, and whether to stop."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.training.checkpoint import Checkpoints, Fenced, SharedCheckpoints
from optathlon.suite.training.state import Clock
from optathlon.suite.training.team import ALONE, Team

CHECKPOINT_SECONDS = "OPTATHLON_CHECKPOINT_SECONDS"


@dataclass
class Surroundings:
    """What a run needs from outside: where checkpoints go, who wants to know, and whether to stop."""

    checkpoints: Checkpoints | SharedCheckpoints
    team: Team = ALONE
    """The processes that train the run, each with surroundings of its own; any of them may be asked to stop."""
    event: Callable[[dict[str, Any]], None] = lambda _: None
    """Told where the run is, every few seconds and when it resumes."""
    stop: Callable[[], bool] = lambda: False
    """Asked after each update; True saves the state and ends the process with Preempted."""
    fenced: Callable[[], bool] = lambda: False
    """Asked before each write; True means that another attempt owns the run now."""
    moved: Callable[[], None] = lambda: None
    """Told when a checkpoint further on than the one found was saved."""
    implementation: str = "auto"
    """How optimizers are to step, of optimizers.spec.IMPLEMENTATIONS; a checkpoint's own goes before."""
    networks: NetworkOptions = AS_TASKS_SAY
    """How networks are laid out and carried out; a checkpoint's own goes before."""
    clock: Clock = field(default_factory=Clock)
    interval: float = field(default_factory=lambda: float(os.environ.get(CHECKPOINT_SECONDS, "600")))
    """Seconds between two checkpoints, once the run has got going."""

    def ask_fence(self) -> None:
        """Raise Fenced, in all processes after they have asked, if another attempt owns the run."""
        if self.team.agree(self.fenced()):
            raise Fenced
