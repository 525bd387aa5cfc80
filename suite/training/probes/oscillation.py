"""AdaRem's measure of oscillation: how much longer the path of a weight is than the way it gets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

WINDOW = 2000
WEIGHTS = 10_000
LEAST_DISPLACEMENT = 1e-12


class Oscillation:
    """Q = path / |displacement| of single weights over windows of `WINDOW` updates (AdaRem, section 3.2.2).

    Of a network with more than `WEIGHTS` weights it follows as many, drawn once and for all runs alike. The mean has a
    heavy tail, as a weight may come back to where it was; so there is the median too, and weights displaced by less
    than `LEAST_DISPLACEMENT` are left out. A run shorter than a window is one window.
    """

    def __init__(self, weights: Mapping[str, Tensor]) -> None:
        self.weights = list(weights.values())
        total = sum(weight.numel() for weight in self.weights)
        generator = torch.Generator().manual_seed(0)
        drawn = torch.randperm(total, generator=generator)[:WEIGHTS].sort().values
        self.picked: list[Tensor] = []
        first = 0
        for weight in self.weights:
            inside = drawn[(drawn >= first) & (drawn < first + weight.numel())] - first
            self.picked.append(inside.to(weight.device))
            first += weight.numel()
        self.updates, self.windows = 0, 0
        self._begin()

    def after_step(self) -> dict[str, float]:
        """Follow the weights through an update; returns the values of a window that it ends."""
        now = self._values()
        self.path += (now - self.at).abs()
        self.at = now
        self.updates += 1
        return self._end() if self.updates == WINDOW else {}

    def at_end(self) -> dict[str, float]:
        """The values of the whole run, if it is shorter than a window."""
        return self._end() if self.updates and not self.windows else {}

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name in _STATE:
            value = state[name]
            setattr(self, name, value.to(self.path.device) if isinstance(value, Tensor) else value)

    def _begin(self) -> None:
        self.at = self._values()
        self.start, self.path, self.updates = self.at.clone(), torch.zeros_like(self.at), 0

    def _end(self) -> dict[str, float]:
        displacement = (self.at - self.start).abs()
        moved = displacement >= LEAST_DISPLACEMENT
        quotient = self.path[moved] / displacement[moved]
        self.windows += 1
        self._begin()
        if not len(quotient):
            return {}
        return {"oscillation": float(quotient.mean()), "oscillation_median": float(quotient.median())}

    def _values(self) -> Tensor:
        kept = [w.detach().reshape(-1)[i].double() for w, i in zip(self.weights, self.picked, strict=True) if len(i)]
        return torch.cat(kept) if kept else torch.zeros(0, dtype=torch.float64)


_STATE = ("start", "at", "path", "updates", "windows")
