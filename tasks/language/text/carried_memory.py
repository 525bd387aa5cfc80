"""The memory of text streams, carried from window to window: a rule that every recurrent language model shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

Memory = TypeVar("Memory")


class CarriedMemory(Generic[Memory]):
    """For each part of an update that this process has, the memory before and after the micro-batch it saw last.

    The loss of a micro-batch may be asked for more than once, and must come out the same: the memory advances when a
    micro-batch of another index comes, not when a loss is computed.
    """

    def __init__(self, parts: Iterable[int], fresh: Callable[[], Memory]) -> None:
        self.parts = tuple(parts)
        self.after = {part: fresh() for part in self.parts}
        """By part, the memory after its last micro-batch: all that a resume needs."""
        self._before = dict(self.after)
        self._last: dict[int, int | None] = dict.fromkeys(self.parts)

    def before(self, part: int, index: int) -> Memory:
        """What `part` remembers before micro-batch `index`."""
        if index != self._last[part]:
            self._last[part], self._before[part] = index, self.after[part]
        return self._before[part]

    def restore(self, part: int, memory: Memory) -> None:
        """Have `part` go on from `memory`, as `after` once had it."""
        self.after[part] = self._before[part] = memory
        self._last[part] = None
