"""The batch-norm statistics that all attacks of one update see."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class BeforeUpdate:
    """Remembers a network's buffers as each update finds them.

    Attacks look at running statistics, which every loss moves. So that a loss comes out the same when it is asked
    again, and the same on one process as on several, whose statistics are folded together only behind an update, all
    attacks of an update see what was there before it.
    """

    def __init__(self, net: nn.Module) -> None:
        self._buffers = list(net.buffers())
        self._update: int | None = None
        self._before: list[Tensor] = []

    def forget(self) -> None:
        """Forget the last update's number: the next update is a new one, also if it has the same number."""
        self._update = None

    @contextmanager
    def as_before(self, update: int) -> Iterator[None]:
        """In the block the buffers are as update number `update` found them; after it as they were."""
        if update != self._update:
            self._update, self._before = update, [buffer.clone() for buffer in self._buffers]
            yield
            return
        now = [buffer.clone() for buffer in self._buffers]
        self._set(self._before)
        try:
            yield
        finally:
            self._set(now)

    @torch.no_grad()
    def _set(self, values: list[Tensor]) -> None:
        for buffer, value in zip(self._buffers, values, strict=True):
            buffer.copy_(value)
