"""Digits in color, as tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.data.immutable import Immutable
from optathlon.tasks.rebias.coloring import paint


def normalize(painted: Tensor) -> Tensor:
    """Bytes to [-1, 1], as ToTensor and Normalize(0.5, 0.5) do."""
    return painted.float().div(255).sub(0.5).div(0.5)


@dataclass(frozen=True)
class Painted(Immutable):
    """Digits kept gray in memory, colored when they are taken."""

    images: np.ndarray
    labels: np.ndarray
    colors: np.ndarray

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: np.ndarray | slice) -> tuple[Tensor, Tensor]:
        """Painted bytes (n, 3, height, width) and labels (n,) of the images at `indices`."""
        painted = paint(self.images[indices], self.colors[indices])
        return torch.from_numpy(painted), torch.from_numpy(self.labels[indices])
