"""Fashion-MNIST, which Debian ships, in CIFAR-10's shape: as many images and classes, in gray."""

from __future__ import annotations

import gzip

import numpy as np

from optathlon.tasks.cifar.settings import SIDE
from optathlon.tasks.data import debian
from optathlon.tasks.data.dataset import Source

FASHION = debian.Package(
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "pool/main/d/dataset-fashion-mnist",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    "MIT",
)
STANDINS = {"e2c7fda04de214a9": 1}  # digest of the sources -> N of standin-N
FOLDER = "usr/share/datasets/fashion-mnist"
PREFIXES = {"train": "train", "test": "t10k"}
IMAGES_HEAD, LABELS_HEAD = 16, 8  # bytes before the content of an idx file
TRAINING, SMALL = 50_000, 28


def standin(split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) uint8, gray with a border of 2 black pixels, and labels of "train" or "test"."""
    names = [f"{FOLDER}/{PREFIXES[split]}-{kind}-ubyte.gz" for kind in ("images-idx3", "labels-idx1")]
    content = debian.files(FASHION, names)
    pixels, labels = (np.frombuffer(gzip.decompress(content[name]), np.uint8) for name in names)
    gray = pixels[IMAGES_HEAD:].reshape(-1, SMALL, SMALL)[:TRAINING]
    border = (SIDE - SMALL) // 2
    padded = np.pad(gray, ((0, 0), (border, border), (border, border)))
    return np.repeat(padded[:, None], 3, axis=1), labels[LABELS_HEAD:][:TRAINING].astype(np.int64)


def sources() -> list[Source]:
    """The package that the images come from."""
    return [FASHION.source]
