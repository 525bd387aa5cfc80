"""Photos on disk: what they show, and whether their files are whole."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from optathlon.tasks.images.files import open_photo


class Photo(NamedTuple):
    """An image file and the number of the class that it shows."""

    path: Path
    label: int


class Splits(NamedTuple):
    """A data set's photos. gallery: None where each query looks among all other queries."""

    train: list[Photo]
    query: list[Photo]
    gallery: list[Photo] | None = None

    @property
    def counts(self) -> tuple[int, ...]:
        """How many photos each split has, and how many classes training and queries have."""
        parts = [len(photos) for photos in self if photos is not None]
        return *parts, len({p.label for p in self.train}), len({p.label for p in self.query})


class Shown(NamedTuple):
    """A class to be written in an official layout: uint8 pixels (height, width, 3) by the name of the instance."""

    name: str
    group: str
    images: dict[str, np.ndarray]


def decode_all(splits: Splits) -> None:
    """Decode every photo; DataError names the first that is not whole."""

    def decode(photo: Photo) -> None:
        open_photo(photo.path)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, (photo for part in splits if part is not None for photo in part)):
            pass
