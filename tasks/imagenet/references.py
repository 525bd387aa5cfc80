"""What models that no optimizer trains score on ImageNet: the largest classes, and the nearest class mean of pixels."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

from optathlon.tasks.data.places import folder_of
from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, read
from optathlon.tasks.imagenet.settings import ImageNetSettings
from optathlon.tasks.imagenet.splits import ClassificationSplits, first, split_photos
from optathlon.tasks.images.crops import center_crop
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.photos import Photo, PhotoIndex
from optathlon.tasks.task import Protocol

SIDE, RESIZE = 32, 36
PHOTOS = 50
"""Training photos a class, of which its mean is made."""
AT_ONCE = 1000


def references(protocol: Protocol, data: Path) -> dict[str, dict[str, float]]:
    """Accuracy and top-5 of two models, by "split/metric"; DataError if the data is broken.

    majority: always says the classes with the most training photos. class-mean: the class whose mean picture, 32 × 32
    pixels, is nearest.
    """
    settings = ImageNetSettings.read(protocol)
    splits = split_photos(read(folder_of(data, NAME)), settings, carve=protocol.holdout == "carved")
    return {"majority": _majority(splits), "class-mean": _class_mean(splits)}


def _majority(splits: ClassificationSplits) -> dict[str, float]:
    counts = np.bincount(splits.train.labels, minlength=len(splits.classes))
    order = np.argsort(-counts, kind="stable")
    scores = {}
    for name, photos in splits.evaluated.items():
        scores[f"{name}/accuracy"] = 100.0 * float(np.isin(photos.labels, order[:1]).mean())
        scores[f"{name}/top5"] = 100.0 * float(np.isin(photos.labels, order[:5]).mean())
    return scores


def _class_mean(splits: ClassificationSplits) -> dict[str, float]:
    shown = first(splits.train, PHOTOS)
    sums = np.zeros((len(splits.classes), 3 * SIDE * SIDE))
    for pixels, labels in _pixels(shown):
        np.add.at(sums, labels, pixels)
    means = sums / np.bincount(shown.labels, minlength=len(splits.classes))[:, None]
    scores = {}
    for name, photos in splits.evaluated.items():
        ranks = np.concatenate([_ranks(pixels, labels, means) for pixels, labels in _pixels(photos)])
        scores[f"{name}/accuracy"] = 100.0 * float((ranks < 1).mean())
        scores[f"{name}/top5"] = 100.0 * float((ranks < 5).mean())
    return scores


def _ranks(pixels: np.ndarray, labels: np.ndarray, means: np.ndarray) -> np.ndarray:
    """How many means are nearer to each picture than its own class's."""
    distances = (means**2).sum(1) - 2 * pixels @ means.T  # plus each picture's own square
    return (distances < distances[np.arange(len(labels)), labels][:, None]).sum(1)


def _pixels(photos: PhotoIndex) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Numbers from 0 to 1 (n, 3072) and labels (n,) of the photos' middles, AT_ONCE at a time."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for begin in range(0, len(photos), AT_ONCE):
            some = photos[begin : begin + AT_ONCE]
            yield np.stack([*pool.map(_small, some)]) / 255.0, some.labels


def _small(photo: Photo) -> np.ndarray:
    image = open_photo(photo.path, (RESIZE, RESIZE))
    return np.asarray(center_crop(image, RESIZE, SIDE)).reshape(-1)
