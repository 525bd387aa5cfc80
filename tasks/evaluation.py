"""How workloads evaluate: in batches, in order, without leaving a trace."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from optathlon.tasks.errors import TaskError, did_you_mean

Part = TypeVar("Part")


def split_of(splits: Mapping[str, Part], name: str) -> Part:
    """The split called `name`; TaskError with the nearest one, or those that this run has, if it is none of them."""
    if name not in splits:
        raise TaskError(f"split: this run has no {name!r}{did_you_mean(name, splits)}")
    return splits[name]


@contextlib.contextmanager
def evaluating(*nets: nn.Module) -> Iterator[None]:
    """In the block `nets` are in eval mode and nothing is differentiated; after it each of their modules has the mode,
    and each buffer the value, that it had before."""
    modes = [(module, module.training) for net in nets for module in net.modules()]
    buffers = [(buffer, buffer.detach().clone()) for net in nets for buffer in net.buffers()]
    try:
        for net in nets:
            net.eval()
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training  # `train` would set all modules below as well, also those that were in eval mode
        with torch.no_grad():
            for buffer, value in buffers:
                buffer.copy_(value)


def batched(count: int, size: int) -> list[np.ndarray]:
    """The indices 0 to `count` - 1 in order, int64, in batches of `size`; the last one may be shorter."""
    return [np.arange(begin, min(begin + size, count)) for begin in range(0, count, size)]


class Totals:
    """Sums over an evaluated split, in double precision and on the device: reading each batch's would wait for it."""

    def __init__(self, device: torch.device) -> None:
        self.count = 0
        self._sums: dict[str, Tensor] = {}
        self._device = device

    def add(self, count: int, **sums: Tensor) -> None:
        """Add the scalar `sums` over `count` more samples or tokens, each to those of the same name."""
        self.count += count
        for name, value in sums.items():
            zero = torch.zeros((), dtype=torch.float64, device=self._device)
            self._sums[name] = self._sums.get(name, zero) + value.detach()

    def sums(self) -> dict[str, float]:
        """Each sum by name."""
        return {name: float(value) for name, value in self._sums.items()}

    def means(self) -> dict[str, float]:
        """Each sum over the count, by name."""
        return {name: value / self.count for name, value in self.sums().items()}
