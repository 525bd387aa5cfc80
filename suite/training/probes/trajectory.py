"""The way of one weight through training, update by update."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor

UPDATES = 2000
"""How many updates are followed, as in AdaRem's figure 1."""


class Trajectory:
    """One weight's displacement from its start and the length of its path, after each of `UPDATES` updates (AdaRem,
    section 3.2.2 and figure 1).

    The weight is drawn once from all of the network's matrices, the same for all runs of a network: the paper does not
    say which it shows. A network without matrices has none.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        matrices = [weight for weight in weights.values() if weight.ndim > 1]
        self.weight: Tensor | None = None
        """The single weight, as a view that follows the network's."""
        if matrices:
            total = sum(weight.numel() for weight in matrices)
            self.weight = _element(matrices, int(torch.randint(total, (), generator=torch.Generator().manual_seed(0))))
        self.updates, self.path = 0, 0.0
        self.start = self.at = self._value()

    def after_step(self) -> dict[str, float]:
        """Follow the weight through an update; nothing after the last that is followed."""
        if self.weight is None or self.updates >= UPDATES:
            return {}
        now = self._value()
        self.path += abs(now - self.at)
        self.at = now
        self.updates += 1
        return {"trajectory": now - self.start, "trajectory_path": self.path}

    def at_end(self) -> dict[str, float]:
        """Nothing: each update has its point."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATE:
            setattr(self, name, state[name])

    def _value(self) -> float:
        return 0.0 if self.weight is None else float(self.weight)


def _element(weights: Iterable[Tensor], number: int) -> Tensor:
    """The element of that number, counted through all `weights`."""
    for weight in weights:
        if number < weight.numel():
            place = torch.unravel_index(torch.tensor(number), weight.shape)
            return weight.detach()[tuple(map(int, place))]
        number -= weight.numel()
    raise IndexError(number)


_STATE = ("start", "at", "path", "updates")
