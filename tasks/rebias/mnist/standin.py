"""The handwritten digits that scikit-learn ships, in MNIST's layout.

One stand-in, the same on every machine: OpenCV's digits would be another edition wherever Debian's opencv-doc is
installed, and one on which smoke runs learn little.
"""

from __future__ import annotations

import hashlib
import importlib.metadata

import numpy as np

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.randomness import generator

STANDINS = {"88c761da988d6a9a": 1}
"""Digest of the sources to N of "standin-N"."""
FAINTEST = 84
"""Of 144: what is fainter becomes background, which is colored only where it is exactly zero."""


def standin() -> tuple[np.ndarray, np.ndarray, Source]:
    """Images (n, 28, 28) uint8 with a background of exact zeros, labels, and where they come from.

    Eight by eight pixels of 0 to 16 a digit, enlarged to 24 x 24; whole numbers only, the same on every machine.
    """
    from sklearn.datasets import load_digits

    pixels, targets = map(np.asarray, load_digits(return_X_y=True))
    small, labels = pixels.reshape(-1, 8, 8).astype(np.int64), targets.astype(np.int64)
    centers = 3 * np.arange(8) + 1
    thirds = np.maximum(0, 3 - np.abs(np.arange(24)[:, None] - centers))  # weights of linear interpolation, times 3
    large = thirds @ small @ thirds.T  # at most 16 * 3 * 3 = 144
    large = np.where(large < FAINTEST, 0, large * 255 // 144).astype(np.uint8)
    content = small.astype(np.uint8).tobytes() + labels.astype(np.uint8).tobytes()
    source = Source(
        package="scikit-learn",
        version=importlib.metadata.version("scikit-learn"),
        digest=hashlib.sha256(content).hexdigest(),
        licence="BSD-3-Clause",
    )
    return np.pad(large, ((0, 0), (2, 2), (2, 2))), labels, source


def train_and_test(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Indices of four fifths and of one fifth of every class, in a fixed shuffled order."""
    random = generator("mnist", "standin")
    classes = [random.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels)]
    train = np.concatenate([members[len(members) // 5 :] for members in classes])
    test = np.concatenate([members[: len(members) // 5] for members in classes])
    return random.permutation(train), random.permutation(test)
