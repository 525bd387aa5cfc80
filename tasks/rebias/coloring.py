"""Biased-MNIST: digits whose background color nearly gives the label away (ReBias, datasets/colour_mnist.py)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.randomness import generator

COLORS = np.array(  # of labels 0 to 9; 225 in two of them is no slip: the published code has it
    [
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (225, 225, 0),
        (225, 0, 225),
        (0, 255, 255),
        (255, 128, 0),
        (255, 0, 128),
        (128, 0, 255),
        (128, 128, 128),
    ],
    dtype=np.uint8,
)
CLASSES = len(COLORS)


def assign_colors(labels: np.ndarray, rho: float, split: str) -> np.ndarray:
    """The label whose color each image gets, a function of `labels`, `rho` and the name of the `split` alone.

    Counts, not coin flips: of a class with n images int(n * rho) get the color of their class; the rest is cut into
    chunks of ceil(rest / 9), one for each other label in shuffled order.
    """
    random = generator("biased-mnist", split, rho)
    colors = labels.copy()
    for label in range(CLASSES):
        members = random.permutation(np.flatnonzero(labels == label))
        others = random.permutation([other for other in range(CLASSES) if other != label])
        odd = members[int(len(members) * rho) :]
        chunk = math.ceil(len(odd) / len(others))
        colors[odd] = others[np.arange(len(odd)) // max(1, chunk)]
    return colors


def paint(images: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """Gray `images` (n, height, width) as bytes (n, 3, height, width): zeros in COLORS[colors], all else white."""
    return np.where(images[:, None] == 0, COLORS[colors][:, :, None, None], np.uint8(255))


def normalize(painted: Tensor) -> Tensor:
    """Bytes to [-1, 1], as ToTensor and Normalize(0.5, 0.5) do."""
    return painted.float().div(255).sub(0.5).div(0.5)


def stratified_order(labels: np.ndarray, split: str) -> np.ndarray:
    """An order of the images in which every beginning has the classes in nearly their shares in the whole."""
    random = generator("biased-mnist", split, "order")
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


@dataclass(frozen=True)
class Painted:
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
