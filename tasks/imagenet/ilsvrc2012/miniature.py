"""The miniature of ImageNet: drawn shapes in class folders, with the oddities that the official photos have."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, TRAIN, VAL
from optathlon.tasks.images import shapes
from optathlon.tasks.images.files import save

CLASSES, FIRST = 20, 1_440_764
TRAINING, VALIDATION = 40, 10


def wnid(number: int) -> str:
    """The invented WordNet id of a class."""
    return f"n{FIRST + number:08}"


def write(folder: Path) -> None:
    """Write the class folders of both splits. One photo is a PNG with a JPEG's name, one is in CMYK, one gray, as some
    of the official ones are."""
    drawn = [[*one.images.values()] for one in shapes.classes(NAME, CLASSES, TRAINING + VALIDATION)]
    write_classes(folder, ((images[:TRAINING], images[TRAINING:]) for images in drawn))
    odd = sorted((folder / TRAIN / wnid(0)).iterdir())
    with Image.open(odd[0]) as image:
        as_png = io.BytesIO()
        image.save(as_png, format="PNG")
    odd[0].write_bytes(as_png.getvalue())
    for path, mode in zip(odd[1:3], ("CMYK", "L"), strict=True):
        with Image.open(path) as image:
            changed = image.convert(mode)
        changed.save(path, format="JPEG", quality=95)


def write_classes(folder: Path, classes: Iterable[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]]) -> None:
    """Write the pixels of each class, for training and for validation, under names as the official files have."""
    validation = itertools.count(1)
    for number, (training, held) in enumerate(classes):
        for place, pixels in enumerate(training):
            save(folder / TRAIN / wnid(number) / f"{wnid(number)}_{place}.JPEG", pixels)
        for pixels in held:
            save(folder / VAL / wnid(number) / f"ILSVRC2012_val_{next(validation):08}.JPEG", pixels)
