"""Which of ImageNet's photos a task trains and is judged on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, ImageNet
from optathlon.tasks.imagenet.settings import ImageNetSettings
from optathlon.tasks.images.photos import PhotoIndex
from optathlon.tasks.randomness import generator

HELD_BACK = 50
"""One in so many training photos of each class is in the carved validation split, and at least one."""


class ClassificationSplits(NamedTuple):
    """Photos with classes numbered from 0; validation is None if none is carved. The test is the official val/."""

    classes: tuple[str, ...]
    train: PhotoIndex
    validation: PhotoIndex | None
    test: PhotoIndex

    @property
    def evaluated(self) -> dict[str, PhotoIndex]:
        """The splits that a run can be judged on."""
        return {"test": self.test} | ({} if self.validation is None else {"validation": self.validation})


def split_photos(photos: ImageNet, settings: ImageNetSettings, carve: bool) -> ClassificationSplits:
    """The photos of the settings' classes, at most so many of each; DataError if a class has too few to carve one.

    What is held back for validation is the same for every seed.
    """
    count = min(settings.classes or len(photos.classes), len(photos.classes))
    chosen = [number * len(photos.classes) // count for number in range(count)]
    train, test = (_only(index, chosen) for index in (photos.train, photos.val))
    validation = None
    if carve:
        held = _held_back(train, [photos.classes[label] for label in chosen])
        validation, train = train.taken(held), train.taken(~held)
    return ClassificationSplits(
        classes=tuple(photos.classes[label] for label in chosen),
        train=first(train, settings.training_photos),
        validation=None if validation is None else first(validation, settings.evaluation_photos),
        test=first(test, settings.evaluation_photos),
    )


def first(photos: PhotoIndex, most: int) -> PhotoIndex:
    """The first `most` photos of each class, in order; 0 for all."""
    return photos.taken(_marked(photos, lambda count, _: np.arange(count) < most)) if most else photos


def _only(photos: PhotoIndex, chosen: list[int]) -> PhotoIndex:
    """The photos of the classes `chosen`, which are then numbered from 0."""
    numbers = np.full(int(photos.labels.max()) + 1, -1)
    numbers[chosen] = np.arange(len(chosen))
    mine = photos.taken(numbers[photos.labels] >= 0)
    return PhotoIndex(mine.folder, mine.paths, numbers[mine.labels])


def _held_back(photos: PhotoIndex, names: list[str]) -> np.ndarray:
    def choose(count: int, label: int) -> np.ndarray:
        if count < 2:
            raise DataError(f"{NAME}: class {names[label]} has one training photo, none of which can be held back")
        ranks = generator(NAME, "validation", names[label]).permutation(count)
        return ranks < max(1, count // HELD_BACK)

    return _marked(photos, choose)


def _marked(photos: PhotoIndex, choose: Callable[[int, int], np.ndarray]) -> np.ndarray:
    """A mask of the photos, made of `choose`(count, label) for each class, which lie together and in order."""
    labels, counts = np.unique(photos.labels, return_counts=True)
    return np.concatenate([choose(int(n), int(label)) for label, n in zip(labels, counts, strict=True)])
