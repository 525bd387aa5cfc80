"""Handwritten digits that ordinary packages ship, in MNIST's layout."""

from __future__ import annotations

import hashlib
import importlib.metadata
from pathlib import Path

import numpy as np

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.errors import DataError
from optathlon.tasks.randomness import generator

OPENCV = Path("/usr/share/doc/opencv-doc/examples/data/digits.png")


OPENCV_SHA256 = "60c917758ef97cc090f35cd8e293e4de691ef942847da0ff80dedab33d57c662"


STANDINS = {"88c761da988d6a9a": 1, "a3c114f86ab11280": 2}  # digest of the sources -> N of standin-N


FAINTEST = 84  # of 144: what is fainter becomes background, which is colored only where it is exactly zero


def standin() -> tuple[np.ndarray, np.ndarray, Source]:
    """Images (n, 28, 28) uint8 with a background of exact zeros, labels, and where they come from."""
    return _opencv(OPENCV) if OPENCV.is_file() else _sklearn()


def _opencv(path: Path) -> tuple[np.ndarray, np.ndarray, Source]:
    """Twenty by twenty pixels a digit, MNIST's own box; 500 a class."""
    from PIL import Image

    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != OPENCV_SHA256:
        raise DataError(
            f"mnist: {path} has SHA-256 {digest[:16]}…, expected {OPENCV_SHA256[:16]}… (opencv-doc 4.6.0); "
            "reinstall opencv-doc, or remove it to take scikit-learn's digits"
        )
    sheet = np.asarray(Image.open(path).convert("L"))
    images = sheet.reshape(50, 20, 100, 20).transpose(0, 2, 1, 3).reshape(5000, 20, 20)
    source = Source(package="opencv-doc", version="4.6.0", digest=OPENCV_SHA256, licence="Apache-2.0 AND BSD-3-Clause")
    return np.pad(images, ((0, 0), (4, 4), (4, 4))), np.repeat(np.arange(10), 500), source


def _sklearn() -> tuple[np.ndarray, np.ndarray, Source]:
    """Eight by eight pixels of 0 to 16 a digit, enlarged to 24 x 24; whole numbers only, the same on every machine."""
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
