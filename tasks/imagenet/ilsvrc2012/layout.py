"""ImageNet as folders of photos, train/ and val/, the way that torchvision, its examples and most sites have it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.data.files import is_litter
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012 import devkit
from optathlon.tasks.images.photos import PhotoIndex

NAME = "imagenet"
TRAIN, VAL = "train", "val"
SUFFIXES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's ImageFolder's


class ImageNet(NamedTuple):
    """Class names, sorted as ImageFolder numbers them, and the photos of both splits in ImageFolder's order."""

    classes: tuple[str, ...]
    train: PhotoIndex
    val: PhotoIndex

    @property
    def counts(self) -> tuple[int, int, int]:
        """Photos for training, for validation, and classes."""
        return len(self.train), len(self.val), len(self.classes)


def read(folder: Path) -> ImageNet:
    """The photos in the class folders of train/ and val/; DataError if a class is empty or only in one of them.

    Validation photos may also lie in val/ itself, if the development kit lies beside it. Hidden files are passed over.
    """
    for part in (TRAIN, VAL):
        if not (folder / part).is_dir():
            raise DataError(
                f"{NAME}: there is no folder {folder / part}; expected class folders in {TRAIN}/ and {VAL}/"
            )
    classes = class_folders(folder / TRAIN)
    if not classes:
        raise DataError(f"{NAME}: {folder / TRAIN} has no class folders, such as n01440764/")
    return ImageNet(classes, _in_folders(folder / TRAIN, classes), _validation(folder, classes))


def class_folders(tree: Path) -> tuple[str, ...]:
    """The names of its folders that are not hidden, sorted."""
    with os.scandir(tree) as entries:
        return tuple(sorted(e.name for e in entries if e.is_dir() and not is_litter(e.name)))


def _validation(folder: Path, classes: tuple[str, ...]) -> PhotoIndex:
    tree = folder / VAL
    if not (found := class_folders(tree)):
        return _flat(folder, classes)
    if strange := sorted(set(found) ^ set(classes)):
        where, other = (TRAIN, VAL) if strange[0] in classes else (VAL, TRAIN)
        raise DataError(f"{NAME}: class {strange[0]!r} is in {folder / where}, but not in {folder / other}")
    return _in_folders(tree, classes)


def _flat(folder: Path, classes: tuple[str, ...]) -> PhotoIndex:
    """Photos in val/ itself, by the labels of the development kit."""
    kit = devkit.find(folder)
    if kit is None:
        raise DataError(
            f"{NAME}: {folder / VAL} has no class folders, and {folder / devkit.FOLDER} is not there, whose"
            f" {devkit.TRUTH} would say what its photos show"
        )
    names = sorted(name for name in os.listdir(folder / VAL) if _is_photo(name))
    wnids = devkit.validation_wnids(kit, names)
    numbers = {wnid: label for label, wnid in enumerate(classes)}
    if strange := sorted(set(wnids) ^ set(classes)):
        where = f"in {folder / TRAIN}" if strange[0] in numbers else f"in {kit / devkit.TRUTH}"
        raise DataError(f"{NAME}: class {strange[0]!r} is {where}, but not in both training and validation")
    order = sorted(range(len(names)), key=lambda i: (wnids[i], names[i]))  # as if they lay in class folders
    return PhotoIndex.of(folder / VAL, [names[i] for i in order], [numbers[wnids[i]] for i in order])


def _in_folders(tree: Path, classes: tuple[str, ...]) -> PhotoIndex:
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        photos = [*_photos(tree, name)]
        if not photos:
            raise DataError(f"{NAME}: class folder {tree / name} has no photos; remove it or unpack it again")
        paths += photos
        labels += [label] * len(photos)
    return PhotoIndex.of(tree, paths, labels)


def _photos(tree: Path, name: str) -> Iterator[str]:
    """Paths below `tree` of the photos in a class folder and in folders below it, in ImageFolder's order."""
    for where, below, files in sorted(os.walk(tree / name, followlinks=True)):
        below.sort()
        base = os.path.relpath(where, tree)
        if not any(map(is_litter, base.split(os.sep))):
            yield from (f"{base}/{file}" for file in sorted(files) if _is_photo(file))


def _is_photo(name: str) -> bool:
    """By its suffix, as ImageFolder; not such as ._n01440764_18.JPEG, which some systems leave beside a photo."""
    return not is_litter(name) and name.lower().endswith(SUFFIXES)
