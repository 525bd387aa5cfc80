"""Photos on disk: what they show, and whether their files are whole."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, overload

import numpy as np

from optathlon.tasks.data.immutable import Immutable
from optathlon.tasks.images.files import open_photo

AT_ONCE = 10_000


class Photo(NamedTuple):
    """An image file and the number of the class that it shows."""

    path: Path
    label: int


class Splits(NamedTuple):
    """A data set's photos."""

    train: list[Photo]
    query: list[Photo]
    gallery: list[Photo] | None = None
    """Where queries look; None where each looks among all other queries."""

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
    decode_each(photo for part in splits if part is not None for photo in part)


def decode_each(photos: Iterable[Photo]) -> None:
    """Decode photos, on all cores; DataError names the first that is not whole. JPEGs are decoded small, for which all
    of a file is read as well."""
    todo = iter(photos)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        while batch := list(itertools.islice(todo, AT_ONCE)):
            for _ in pool.map(_decode, batch):
                pass


def _decode(photo: Photo) -> None:
    open_photo(photo.path, (1, 1))


class PhotoIndex(Immutable, Sequence[Photo]):
    """The photos of a large data set: paths below `folder` as one array of bytes, and labels as another.

    A million photos take 50 MB, which the data workers share and are not sent.
    """

    def __init__(self, folder: Path, paths: np.ndarray, labels: np.ndarray) -> None:
        self.folder, self.paths, self.labels = folder, paths, labels

    @classmethod
    def of(cls, photos: Sequence[Photo]) -> PhotoIndex:
        """The index of `photos`, wherever they are."""
        return cls.from_lists(Path(), [str(photo.path) for photo in photos], [photo.label for photo in photos])

    @classmethod
    def from_lists(cls, folder: Path, paths: Sequence[str], labels: Sequence[int]) -> PhotoIndex:
        """The index of photos at `paths` below `folder`, of classes `labels`."""
        return cls(folder, np.array([os.fsencode(path) for path in paths]), np.array(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.labels)

    @overload
    def __getitem__(self, index: int) -> Photo: ...
    @overload
    def __getitem__(self, index: slice) -> PhotoIndex: ...
    def __getitem__(self, index: int | slice) -> Photo | PhotoIndex:
        if isinstance(index, slice):
            return PhotoIndex(self.folder, self.paths[index], self.labels[index])
        return Photo(self.folder / os.fsdecode(self.paths[index]), int(self.labels[index]))

    def taken(self, chosen: np.ndarray) -> PhotoIndex:
        """The photos at `chosen`: places, or a mask."""
        return PhotoIndex(self.folder, self.paths[chosen], self.labels[chosen])
