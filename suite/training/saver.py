"""When a checkpoint is written."""

from __future__ import annotations

import time
from typing import Any

from optathlon.suite.errors import Preempted
from optathlon.suite.failures import classify_error
from optathlon.suite.training.state import State
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.training.team import copied

FIRST_SECONDS = 60.0
"""After which the first checkpoint of an attempt is due; then after twice as long each, up to the usual interval. So
who is killed every few minutes gets on, and who is not spends little on it."""

BORDER_SECONDS = 120.0
"""After which one is due at a border, where the least is to be repeated."""

EVENT_SECONDS = 15.0


GO_ON, SAVE, STOP = range(3)

OF_THE_MACHINE = ("memory", "device")
"""Failures that say nothing about a checkpoint, as suite.failures names them."""


class Saver:
    """Writes checkpoints by the clock and on a signal, and reads the newest one back."""

    def __init__(self, state: State, around: Surroundings) -> None:
        self.state, self.around = state, around
        self.last = self.told = time.monotonic()
        self.interval = min(FIRST_SECONDS, around.interval)
        self.found = (0, True)

    def load(self) -> None:
        """Take the newest state that is one of this run; without any, the state stays as it was built."""
        fresh, files = None, self.around.checkpoints
        while (saved := files.load()) is not None:
            fresh = fresh or copied(self.state.state_dict())
            why = self._take(saved)
            if not self.around.team.agree(why is not None):
                self.found = (self.state.update, self.state.settled)
                self.around.event({"resumed": self.state.update})
                return
            files.reject(why or "to another process of the run")
            self.state.load_state_dict(fresh)

    def _take(self, saved: dict[str, Any]) -> str | None:
        """Load `saved`, or say why it, perhaps of another version of this code or the task, is no state of this run."""
        try:
            self.state.load_state_dict(saved)
        except (AttributeError, IndexError, KeyError, RuntimeError, TypeError, ValueError) as error:
            if classify_error(error, self.state.run) in OF_THE_MACHINE:
                raise
            return f"{type(error).__name__}: {error}"
        return None

    def save_when_due(self) -> None:
        now = time.monotonic()
        age = now - self.last
        border = not self.state.settled and age >= min(BORDER_SECONDS, self.interval)
        due = border or age >= self.interval
        wish = self.around.team.agree(STOP if self.around.stop() else SAVE if due else GO_ON)
        if wish != GO_ON:
            self.save()
        if wish == STOP:
            raise Preempted
        if now - self.told >= EVENT_SECONDS or not self.state.settled:
            self.told = now
            self.state.cost.energy.read()
            self.around.event({"update": self.state.update, "time": self.state.time, **self.around.clock.report()})

    def save(self) -> None:
        state = self.state
        with self.around.clock.saving():
            self.around.ask_fence()
            written = self.around.checkpoints.save(state.state_dict(), state.update, state.best_file)
        if written and (state.update, state.settled) > self.found:
            self.around.moved()
        self.last = time.monotonic()
        self.interval = min(2 * self.interval, self.around.interval)
