"""CIFAR-10's images in memory, as training and evaluation see them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.data.immutable import Immutable
from optathlon.tasks.randomness import generator

PADDED = 8
"""The black border is one in so many pixels of a side wide: 4 of CIFAR-10's 32."""


@dataclass(frozen=True)
class Images(Immutable):
    """Bytes (n, 3, side, side) and labels (n,)."""

    pixels: np.ndarray
    labels: np.ndarray

    def take(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Bytes (m, 3, side, side) and labels (m,) of the images at `chosen`."""
        return torch.from_numpy(self.pixels[chosen]), torch.from_numpy(self.labels[chosen])

    def first(self, count: int) -> Images:
        return Images(self.pixels[:count], self.labels[:count])

    def after(self, count: int) -> Images:
        return Images(self.pixels[count:], self.labels[count:])


class Augmented:
    """Images as one epoch shows them: with a black border, cut at random, mirrored half the time.

    Where each is cut is a function of (seed, epoch, index), whatever batch it is in.
    """

    def __init__(self, images: Images, seed: int, epoch: int) -> None:
        random = generator(seed, "augment", epoch)
        count, _, side, _ = images.pixels.shape
        self.images, self.border = images, side // PADDED
        self.places = random.integers(0, 2 * self.border + 1, (count, 2))
        self.mirrored = random.random(count) < 0.5

    def take(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Bytes (m, 3, side, side) and labels (m,) of the images at `chosen`."""
        pixels, labels = self.images.pixels[chosen], self.images.labels[chosen]
        side = pixels.shape[2]
        padded = np.pad(pixels, ((0, 0), (0, 0), *[(self.border, self.border)] * 2))
        rows = self.places[chosen, 0, None] + np.arange(side)
        columns = self.places[chosen, 1, None] + np.arange(side)
        columns = np.where(self.mirrored[chosen, None], columns[:, ::-1], columns)
        cut = padded[np.arange(len(chosen))[:, None, None], :, rows[:, :, None], columns[:, None, :]]
        return torch.from_numpy(np.ascontiguousarray(cut.transpose(0, 3, 1, 2))), torch.from_numpy(labels)
