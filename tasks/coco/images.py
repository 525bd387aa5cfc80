"""Which images a protocol trains and judges on; needs no torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from optathlon.tasks.coco import layout
from optathlon.tasks.coco.layout import Annotations
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.metrics.average_precision import Objects
from optathlon.tasks.randomness import generator
from optathlon.tasks.settings import carved
from optathlon.tasks.task import Protocol


class Splits(NamedTuple):
    """The images that a protocol trains and judges on."""

    train: Annotations
    evaluated: dict[str, Annotations]
    """By "test" and, where one is carved, "validation"."""


def splits(protocol: Protocol, root: Path) -> Splits:
    """The images of `protocol` below the data folder `root`; DataError if an annotation file is broken.

    The validation split is the same for every seed.
    """
    train, test = layout.read_both(folder_of(root, layout.NAME))
    train = _first(train, protocol.settings["train_images"])
    evaluated = {"test": _first(test, protocol.settings["test_images"])}
    if held := carved(len(train), protocol):
        order = generator(layout.NAME, "validation").permutation(len(train))
        evaluated["validation"] = train.subset(np.sort(order[:held]))
        train = train.subset(np.sort(order[held:]))
    return Splits(train, evaluated)


def _first(images: Annotations, most: Any) -> Annotations:
    return images.subset(np.arange(most)) if 0 < most < len(images) else images


def objects(images: Annotations) -> Objects:
    """What there is to be found in `images`."""
    return Objects(
        images=np.repeat(images.ids, np.diff(images.starts)),
        classes=images.labels,
        boxes=images.boxes,
        areas=images.areas,
        crowd=images.crowd,
    )
