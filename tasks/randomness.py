"""Random numbers as functions of names: the same for every optimizer, worker count and resume."""

from __future__ import annotations

import hashlib

import numpy as np


def derive(*names: object) -> int:
    """A 63-bit seed from the SHA-256 of `names` (integers, strings): derive(seed, "order", epoch)."""
    digest = hashlib.sha256("\x1f".join(map(str, names)).encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def generator(*names: object) -> np.random.Generator:
    """A fresh NumPy generator for `names`."""
    return np.random.Generator(np.random.PCG64(derive(*names)))


def shuffled(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of `count` training samples in `epoch`: an int64 permutation."""
    return generator(seed, "order", epoch).permutation(count)
