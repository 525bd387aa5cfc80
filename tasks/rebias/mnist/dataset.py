"""MNIST in its official files: four idx files, gzipped or not, in DATA/mnist/, its raw/ or its MNIST/raw/."""

from __future__ import annotations

import gzip
import hashlib
import math
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.layouts import find_file
from optathlon.tasks.errors import DataError
from optathlon.tasks.rebias.mnist import miniature, standin
from optathlon.tasks.rebias.mnist.miniature import SIDE

PLACES = ("raw", ".", "MNIST/raw")
"""Where below the data set's folder the files may lie: as ReBias has them, by themselves, as torchvision has them."""
PREFIXES = {"train": "train", "test": "t10k"}
LARGEST = 256 << 20  # bytes in one file, unpacked; the largest official one has 47 million


class Digests(NamedTuple):
    """MD5 of an official file as it is distributed (torchvision's mnist.py) and unpacked (several public loaders)."""

    packed: str
    unpacked: str


OFFICIAL = {
    "train-images-idx3-ubyte": Digests("f68b3c2dcbeaaa9fbdd348bbdeb94873", "6bbc9ace898e44ae57da46a324031adb"),
    "train-labels-idx1-ubyte": Digests("d53e105ee54ea40749a09fcbcd1e9432", "a25bea736e30d166cdddb491f175f624"),
    "t10k-images-idx3-ubyte": Digests("9fb629c4189551a2d022fa330f9573f3", "2646ac647ad5339dbf082846283269ea"),
    "t10k-labels-idx1-ubyte": Digests("ec29112dd5afa0611ce80d1b7f02629c", "27ae3e4e09519cfbb04c329615203637"),
}


class Mnist(Dataset):
    """MNIST (LeCun, Cortes, Burges 1998): 60,000 training and 10,000 test images of digits, 28 x 28, gray."""

    name = "mnist"
    title = "MNIST"
    licence = "none stated by its authors; commonly given as CC BY-SA 3.0"
    homepage = "http://yann.lecun.com/exdb/mnist/"
    get = (
        "MNIST's train-images-idx3-ubyte.gz, train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and "
        "t10k-labels-idx1-ubyte.gz (gzipped or unpacked) in mnist/, its raw/ or its MNIST/raw/ below the data folder"
    )
    standins = standin.STANDINS
    entries = ("raw", "MNIST", *(f"{prefix}-*" for prefix in PREFIXES.values()))

    def verify(self, folder: Path) -> str | None:
        """By the MD5 of the four files as distributed or unpacked; DataError if one is missing or no digit images."""
        proven = [_is_official(find(folder, name), digests) for name, digests in OFFICIAL.items()]
        for split in PREFIXES:
            read(folder, split)
        return "md5 of 4 files" if all(proven) else None

    def write_miniature(self, folder: Path) -> None:
        """400 training and 100 test images of drawn glyphs, moved and worn."""
        for split, count in (("train", 400), ("test", 100)):
            write(folder, split, *miniature.miniature(split, count))

    def write_standin(self, folder: Path) -> list[Source]:
        """scikit-learn's 1,797 handwritten digits."""
        images, labels, source = standin.standin()
        train, test = standin.train_and_test(labels)
        write(folder, "train", images[train], labels[train])
        write(folder, "test", images[test], labels[test])
        return [source]


def read(folder: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 28, 28) uint8 and labels (n,) int64 of "train" or "test"; DataError if a file is not that."""
    image_file, label_file = (
        find(folder, f"{PREFIXES[split]}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1")
    )
    images, labels = read_idx(image_file, 3), read_idx(label_file, 1).astype(np.int64)
    if images.shape[1:] != (SIDE, SIDE):
        raise DataError(f"mnist: {image_file} holds images of {images.shape[1]} x {images.shape[2]}, expected 28 x 28")
    if len(images) != len(labels) or not len(labels):
        raise DataError(
            f"mnist: {image_file} holds {len(images)} images and {label_file} {len(labels)} labels, "
            "expected as many of one as of the other, and some"
        )
    if labels.max() > 9:
        raise DataError(f"mnist: {label_file} holds the label {labels.max()}, expected 0 to 9")
    return images, labels


def find(folder: Path, name: str) -> Path:
    """The idx file `name` in one of PLACES, gzipped as it is distributed or else unpacked; DataError if there is none.

    Unpacked by 7-zip it is called train-images.idx3-ubyte, which is found as well.
    """
    unpacked = name.replace("-idx", ".idx")
    if path := find_file(folder, PLACES, (f"{name}.gz", name, f"{unpacked}.gz", unpacked)):
        return path
    raise DataError(f"mnist: {folder / 'raw' / name}.gz is missing (unpacked will do as well); expected {Mnist.get}")


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """The unsigned bytes in an idx file: magic 0, 0, 8, dimensions; sizes as big-endian integers; the content."""
    content = _content(path)
    magic, head = bytes((0, 0, 8, dimensions)), 4 + 4 * dimensions
    if content[:4] != magic:
        raise DataError(
            f"mnist: {path} starts with bytes {content[:4].hex()}, expected {magic.hex()} (idx{dimensions}-ubyte)"
        )
    if len(content) < head:
        raise DataError(f"mnist: {path} is truncated: {len(content)} bytes, expected a head of {head}; fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(content[4:head], ">u4"))
    if len(content) != head + math.prod(shape):
        raise DataError(
            f"mnist: {path} has {len(content)} bytes, expected {head + math.prod(shape)} for the shape {shape} that it "
            "announces (truncated or damaged); fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=head).reshape(shape)


def write(folder: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Write both files of `split` into folder/raw, unpacked, so that their bytes do not depend on a zlib version."""
    (folder / "raw").mkdir(parents=True, exist_ok=True)
    for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
        head = bytes((0, 0, 8, array.ndim)) + np.array(array.shape, ">u4").tobytes()
        (folder / "raw" / f"{PREFIXES[split]}-{kind}-ubyte").write_bytes(head + array.astype(np.uint8).tobytes())


def _content(path: Path) -> bytes:
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, EOFError, MemoryError, zlib.error) as error:
        raise DataError(f"mnist: {path} is unreadable ({error}); fetch it again") from None
    if len(content) > LARGEST:
        raise DataError(f"mnist: {path} holds more than {LARGEST >> 20} MiB, expected {Mnist.get}")
    return content


def _is_official(path: Path, digests: Digests) -> bool:
    content = _content(path)  # first: it tells what is unreadable
    if path.suffix == ".gz" and file_digest(path, "md5") == digests.packed:
        return True
    return hashlib.md5(content).hexdigest() == digests.unpacked
