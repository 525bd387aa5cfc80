"""Times a sample of updates, and how much of each the optimizer takes, without waiting for a GPU."""

from __future__ import annotations

import contextlib
import itertools
import time
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch

TIMED_EVERY = 7
"""A prime, so that what an optimizer does every 5th, 10th or 100th step is met as often as it happens."""

TIMED_FIRST = 2
"""The updates before it load kernels, allocate and compile."""

_UNTIMED = contextlib.nullcontext()
"""One for all, as six of seven updates are to cost next to nothing."""


class UpdateClock(Protocol):
    """Marks points of time, which may be passed later on the device than on the host."""

    def mark(self) -> Any: ...

    def passed(self, mark: Any) -> bool: ...

    def seconds(self, start: Any, end: Any) -> float:
        """Between two marks; waits until both are passed."""
        ...


class HostClock:
    def mark(self) -> float:
        return time.perf_counter()

    def passed(self, mark: float) -> bool:
        return True

    def seconds(self, start: float, end: float) -> float:
        return end - start


class DeviceClock:
    """Events in the queue of a GPU, which notes the time when it gets to them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> torch.cuda.Event:
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event

    def passed(self, mark: torch.cuda.Event) -> bool:
        return mark.query()

    def seconds(self, start: torch.cuda.Event, end: torch.cuda.Event) -> float:
        end.synchronize()
        return start.elapsed_time(end) / 1e3


class UpdateTimer:
    """Counts the updates of an attempt and times every seventh: whole, and the optimizer's part.

    updates, samples: of all processes so far. timed: updates that were timed, which took `seconds`, of them
    `optimizer_seconds` in the optimizers. Not in them: waiting for data.
    """

    def __init__(self, clock: UpdateClock) -> None:
        self.clock = clock
        self.updates, self.samples = 0, 0
        self.timed, self.seconds, self.optimizer_seconds = 0, 0.0, 0.0
        self._marks: list[tuple[bool, Any]] | None = None
        """Of the update that is being timed: whether the optimizer works from there on, and when."""
        self._unread: deque[list[tuple[bool, Any]]] = deque()

    def update(self, samples: int, typical: bool = True) -> AbstractContextManager[None]:
        """The block is one update. typical: it does nothing that others do not, so it may be timed."""
        timed = typical and self.updates % TIMED_EVERY == TIMED_FIRST
        self.updates += 1
        self.samples += samples
        return self._timed_update() if timed else _UNTIMED

    def optimizer(self, at_work: bool = True) -> AbstractContextManager[None]:
        """The block is the optimizer's step; with False, what the optimizer has others do in it (a closure)."""
        return _UNTIMED if self._marks is None else self._part(self._marks, at_work)

    @contextlib.contextmanager
    def _timed_update(self) -> Iterator[None]:
        while self._unread and self.clock.passed(self._unread[0][-1][1]):
            self._read(self._unread.popleft())
        self._marks = [(False, self.clock.mark())]
        try:
            yield
            self._unread.append([*self._marks, (False, self.clock.mark())])
        finally:
            self._marks = None

    @contextlib.contextmanager
    def _part(self, marks: list[tuple[bool, Any]], optimizer: bool) -> Iterator[None]:
        before = marks[-1][0]
        marks.append((optimizer, self.clock.mark()))
        yield
        marks.append((before, self.clock.mark()))

    def finish(self) -> None:
        """Read what is left, once the device has to be waited for anyway."""
        while self._unread:
            self._read(self._unread.popleft())

    def _read(self, marks: list[tuple[bool, Any]]) -> None:
        self.timed += 1
        for (optimizer, start), (_, end) in itertools.pairwise(marks):
            seconds = self.clock.seconds(start, end)
            self.seconds += seconds
            self.optimizer_seconds += seconds * optimizer
