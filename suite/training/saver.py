"""When a checkpoint is written."""

from __future__ import annotations

import time

from optathlon.suite.errors import Preempted
from optathlon.suite.training.state import State
from optathlon.suite.training.surroundings import Fenced, Surroundings

BORDER_SECONDS = 120.0


EVENT_SECONDS = 15.0


GO_ON, SAVE, STOP = range(3)


class Saver:
    """Writes checkpoints by the clock and on a signal, and reads the newest one back."""

    def __init__(self, state: State, around: Surroundings) -> None:
        self.state, self.around = state, around
        self.last = self.told = time.monotonic()
        self.found = (0, True)

    def load(self) -> None:
        saved = self.around.checkpoints.load()
        if saved is not None:
            self.state.load_state_dict(saved)
            self.found = (self.state.update, self.state.settled)
            self.around.event({"resumed": self.state.update})

    def save_when_due(self) -> None:
        now = time.monotonic()
        age = now - self.last
        border = not self.state.settled and age >= min(BORDER_SECONDS, self.around.interval)
        due = border or age >= self.around.interval
        wish = self.around.team.agree(STOP if self.around.stop() else SAVE if due else GO_ON)
        if wish != GO_ON:
            self.save()
        if wish == STOP:
            raise Preempted
        if now - self.told >= EVENT_SECONDS or not self.state.settled:
            self.told = now
            self.around.event({"update": self.state.update, "time": self.state.time, **self.around.clock.report()})

    def save(self) -> None:
        if self.around.team.agree(self.around.fenced()):
            raise Fenced
        state = self.state
        written = self.around.checkpoints.save(state.state_dict(), state.update, state.best_file)
        if written and (state.update, state.settled) > self.found:
            self.around.moved()
        self.last = time.monotonic()
