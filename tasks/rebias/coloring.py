"""Biased-MNIST: digits whose background color nearly gives the label away (ReBias, colour_mnist.py). Needs no torch."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from optathlon.tasks.data.places import folder_of
from optathlon.tasks.randomness import generator
from optathlon.tasks.rebias.mnist.dataset import read
from optathlon.tasks.rebias.mnist.miniature import SIDE

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
COLORINGS = {"unbiased": 0.1, "biased": 1.0, "rho0": 0.0}
"""Share of evaluated images that have the color of their class, by the metric's name."""


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


def stratified_order(labels: np.ndarray, split: str) -> np.ndarray:
    """An order of the images in which every beginning has the classes in nearly their shares in the whole."""
    random = generator("biased-mnist", split, "order")
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return np.argsort(place, kind="stable")


def digits(data: Path, split: str, most: int, block: int) -> tuple[np.ndarray, np.ndarray]:
    """Gray images (n, side, side) and labels (n,) of MNIST below the data folder, in a fixed stratified order.

    most: at most so many. block: side of the squares of pixels that are reduced to their maximum.
    """
    images, labels = read(folder_of(data, "mnist"), split)
    chosen = stratified_order(labels, split)[:most]
    kept = SIDE // block
    cut = images[chosen, : kept * block, : kept * block]
    return cut.reshape(-1, kept, block, kept, block).max((2, 4)), labels[chosen]
