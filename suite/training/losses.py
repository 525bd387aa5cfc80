"""The losses of a run between two borders: their sums, and the first that is not finite."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor


class Losses:
    """Sums each player's losses since the last border and finds the first update of the run whose loss is not finite.

    Losses stay on the device until they are read, many at once: noting one costs no operation on the device and waits
    for nothing. When they are read changes no bit, as they are added in float64 in the order of updates.
    """

    def __init__(self, players: Iterable[str]) -> None:
        self.sums = dict.fromkeys(players, 0.0)
        """Of the losses that have been read."""
        self.updates = 0
        """Since the last border, read or not."""
        self.first_bad = -1
        """The first update with a loss that is not finite, of those that have been read; -1 without any."""
        self._unread: list[tuple[int, Mapping[str, Tensor]]] = []

    def note(self, update: int, means: Mapping[str, Tensor]) -> None:
        """Take the players' losses in `update`, tensors without dimensions."""
        self._unread.append((update, means))
        self.updates += 1

    def read(self) -> None:
        """Wait for the device and take in all that has been noted."""
        if not self._unread:
            return
        values = iter(torch.stack([loss for _, means in self._unread for loss in means.values()]).tolist())
        for update, means in self._unread:
            for name, value in zip(means, values, strict=False):  # the next update goes on where this one ends
                if self.first_bad < 0 and not math.isfinite(value):
                    self.first_bad = update
                self.sums[name] += value
        self._unread.clear()

    def take_means(self) -> dict[str, float]:
        """Each player's mean loss since the last border, which this is; empty if there was no update."""
        self.read()
        means = {name: total / self.updates for name, total in self.sums.items()} if self.updates else {}
        self.sums, self.updates = dict.fromkeys(self.sums, 0.0), 0
        return means

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint holds of it: tensors and a number, as all versions have had it."""
        self.read()
        sums = {name: torch.tensor(total, dtype=torch.float64) for name, total in self.sums.items()}
        return {"sums": sums, "summed": self.updates, "first_bad": torch.tensor(self.first_bad)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave, from a mapping that may hold more."""
        self._unread.clear()
        self.sums = {name: float(total) for name, total in state["sums"].items()}
        self.updates, self.first_bad = state["summed"], int(state["first_bad"])
