"""CIFAR-10's official files for Python: six pickles in cifar-10-batches-py/, read without running what is in them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from optathlon.tasks.cifar.settings import SIDE
from optathlon.tasks.errors import DataError

TREE, META = "cifar-10-batches-py", "batches.meta"
BATCHES = {"train": tuple(f"data_batch_{n}" for n in range(1, 6)), "test": ("test_batch",)}
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CLASSES = len(NAMES)
PIXELS = 3 * SIDE * SIDE
LARGEST = 256 << 20  # bytes in one file; an official one has 31 million


def read(tree: Path, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images (n, 3, 32, 32) uint8, RGB, and labels (n,) int64 of "train" or "test"; DataError if a file is damaged."""
    images, labels = zip(*(_batch(tree / name) for name in BATCHES[split]), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def write(tree: Path, split: str, images: np.ndarray, labels: np.ndarray) -> None:
    """Write the batches of `split` as equal shares of uint8 images (n, 3, 32, 32); with "test" also the names."""
    tree.mkdir(parents=True, exist_ok=True)
    names = BATCHES[split]
    for number, (name, chosen) in enumerate(
        zip(names, np.array_split(np.arange(len(labels)), len(names)), strict=True)
    ):
        batch = {
            "batch_label": f"{split}ing batch {number + 1} of {len(names)}",
            "labels": labels[chosen].tolist(),
            "data": np.ascontiguousarray(images[chosen], np.uint8).reshape(len(chosen), PIXELS),
            "filenames": [f"{NAMES[labels[index]]}_{index:06}.png" for index in chosen],
        }
        (tree / name).write_bytes(_pickled(batch))
    if split == "test":
        meta = {"num_cases_per_batch": len(labels), "label_names": list(NAMES), "num_vis": PIXELS}
        (tree / META).write_bytes(_pickled(meta))


def shrink(pixels: np.ndarray, block: int) -> np.ndarray:
    """Bytes (n, 3, side / block, side / block): the rounded mean of each block of pixels."""
    if block == 1:
        return pixels
    count, channels, side, _ = pixels.shape
    blocks = pixels.reshape(count, channels, side // block, block, side // block, block)
    return blocks.mean((3, 5)).round().astype(np.uint8)


def _pickled(value: Any) -> bytes:
    """As Python 2 and NumPy 1 wrote it, whatever NumPy writes it now, so that the bytes are the same everywhere."""
    return pickle.dumps(value, protocol=2).replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def _batch(path: Path) -> tuple[np.ndarray, np.ndarray]:
    content = load(path)
    if not isinstance(content, dict) or not {"data", "labels"} <= set(content):
        raise DataError(
            f"cifar10: {path} holds no dictionary of data and labels; expected CIFAR-10's version for Python"
        )
    labels, data = content["labels"], content["data"].values if isinstance(content["data"], _Array) else None
    if data is None or data.shape[1:] != (PIXELS,):
        what = "no array of bytes" if data is None else f"of shape {data.shape}"
        raise DataError(f"cifar10: {path}: data is {what}, expected bytes of shape (n, {PIXELS})")
    if not isinstance(labels, list) or len(labels) != len(data) or not labels:
        count = len(labels) if isinstance(labels, list) else "no list of"
        raise DataError(f"cifar10: {path} holds {len(data)} images and {count} labels; expected as many, and some")
    if wrong := [label for label in labels if type(label) is not int or not 0 <= label < CLASSES]:
        raise DataError(f"cifar10: {path} holds the label {wrong[0]!r:.40}, expected 0 to {CLASSES - 1}")
    return data.reshape(-1, 3, SIDE, SIDE), np.array(labels, dtype=np.int64)


def load(path: Path) -> Any:
    """What a pickle of plain values and arrays of bytes holds; DataError if it is damaged or would run anything."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(
                f"cifar10: {path} has more than {LARGEST >> 20} MiB; expected CIFAR-10's version for Python"
            )
        with path.open("rb") as file:
            # latin1 makes str of Python 2's byte strings, which NumPy turns back into the bytes of its arrays.
            return _Unpickler(file, encoding="latin1").load()
    except OSError as error:
        raise DataError(f"cifar10: {path} cannot be read ({error.strerror}); fetch it again") from None
    except DataError:
        raise
    except Exception as error:  # a damaged pickle may raise nearly anything
        raise DataError(
            f"cifar10: {path} is no whole CIFAR-10 batch ({str(error) or type(error).__name__:.200}); fetch it again"
        ) from None


class _Unpickler(pickle._Unpickler):
    """Knows only the four names of which a pickled array of bytes is made, each as a harmless double.

    It is Python's own, not that in C, which takes as much memory as a number in the file says: 4 GB for a file of 9
    bytes. For official files both take about as long.
    """

    def find_class(self, module: str, name: str) -> Any:
        double = ALLOWED.get((module, name))
        if double is None:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which CIFAR-10 has no use for")
        return double

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside")


class _Double:
    """Stands for a function in a pickle, which can call it, and set nothing on it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]) -> None:
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> NoReturn:
        raise pickle.UnpicklingError("it changes a function")


class _Dtype:
    """Stands for the type of an array, of which there is one; NumPy's own would take flags that make bytes pointers."""

    __slots__ = ()

    def __init__(self, name: str, *_: Any) -> None:
        if name != "u1":
            raise pickle.UnpicklingError(f"it has an array of {name!r:.40}, expected bytes (u1)")

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like, which bytes do not have."""


class _Array:
    """Stands for an array in a pickle, which first makes it and then sets its shape and bytes."""

    __slots__ = ("values",)

    def __init__(self, *_: Any) -> None:
        self.values = np.empty(0, np.uint8)

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, content = state
        if not isinstance(kind, _Dtype):
            raise pickle.UnpicklingError("it has an array without a type")
        content = content.encode("latin1") if isinstance(content, str) else content
        self.values = np.frombuffer(content, np.uint8).reshape(shape, order="F" if fortran else "C")


def _encode(text: str, encoding: str) -> bytes:
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it has bytes in the encoding {encoding!r:.40}")
    return text.encode("latin1")


ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _Double(_Array),
    ("numpy._core.multiarray", "_reconstruct"): _Double(_Array),  # NumPy 2
    ("numpy", "ndarray"): _Double(_Array),
    ("numpy", "dtype"): _Double(_Dtype),
    ("_codecs", "encode"): _Double(_encode),  # how Python 3 writes bytes into a pickle of Python 2's kind
}
