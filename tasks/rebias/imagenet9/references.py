"""What models without training score on the nine classes: the boards' references. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from optathlon.tasks.data.places import folder_of
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.photos import Photo
from optathlon.tasks.rebias.imagenet9 import layout
from optathlon.tasks.rebias.imagenet9.dataset import ImageNet9, ImageNetA, read_imagenet_a
from optathlon.tasks.rebias.imagenet9.settings import ImageNet9Settings
from optathlon.tasks.rebias.imagenet9.unbiased import unbiased_accuracy
from optathlon.tasks.task import Protocol

SIDE = 16


def pixels(protocol: Protocol, data: Path) -> dict[str, dict[str, float]]:
    """On the photos for the test: majority, the commonest class for every photo, and nearest mean, the class whose mean
    photo, shrunk to 16 x 16 pixels, is the nearest."""
    nine, hard = layout.read(folder_of(data, ImageNet9.name)), read_imagenet_a(folder_of(data, ImageNetA.name))
    images, labels = _shrunk(nine.train)
    means = np.stack([images[labels == label].mean(0) for label in np.unique(labels)])
    commonest = np.bincount(labels).argmax()
    least = ImageNet9Settings.read(protocol).smallest_cell
    scores: dict[str, dict[str, float]] = {"majority": {}, "nearest mean": {}}
    for split, photos in (("val", nine.val), ("hard", hard)):
        images, labels = _shrunk(photos)
        nearest = (np.square(means).sum(1) - 2 * images @ means.T).argmin(1)
        for model, guess in (("majority", np.full(len(labels), commonest)), ("nearest mean", nearest)):
            right = guess == labels
            accuracy = 100.0 * float(right.mean())
            if split == "hard":
                scores[model]["test/imagenet_a"] = accuracy
            else:
                unbiased = unbiased_accuracy(right, labels, nine.clusters, least)
                scores[model] |= {"test/unbiased": unbiased, "test/biased": accuracy}
    return scores


def _shrunk(photos: Sequence[Photo]) -> tuple[np.ndarray, np.ndarray]:
    images = [open_photo(photo.path, (SIDE, SIDE)).resize((SIDE, SIDE)) for photo in photos]
    labels = np.array([photo.label for photo in photos], dtype=np.int64)
    return np.stack([np.asarray(image) for image in images]).reshape(len(labels), -1) / 255, labels
