"""ImageNet as folders of photos, train/ and val/, the way that torchvision, Kaggle and most sites have it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.data.files import is_litter
from optathlon.tasks.data.layouts import places_with
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012 import devkit, kaggle
from optathlon.tasks.images.files import is_photo
from optathlon.tasks.images.photos import PhotoIndex

NAME = "imagenet"
TRAIN, VAL = "train", "val"


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

    The two lie in `folder`, or below it where Kaggle has them. Validation photos may also lie in val/ itself, if the
    development kit or Kaggle's table of labels is there. Hidden files are passed over.
    """
    tree = find_tree(folder)
    for part in (TRAIN, VAL):
        if not (tree / part).is_dir():
            raise DataError(
                f"{NAME}: there is no folder {tree / part}; expected class folders in {TRAIN}/ and {VAL}/, here or in"
                f" {kaggle.TREES[0]}/"
            )
    classes = class_folders(tree / TRAIN)
    if not classes:
        raise DataError(f"{NAME}: {tree / TRAIN} has no class folders, such as n01440764/")
    return ImageNet(classes, _in_folders(tree / TRAIN, classes), _validation(folder, tree, classes))


def find_tree(folder: Path) -> Path:
    """Where train/ and val/ lie: `folder`, or a folder below it that Kaggle's archive has."""
    begun = places_with(folder, (".", *kaggle.TREES), [TRAIN])
    if len(begun) > 1:
        raise DataError(f"{NAME}: two copies of the data, {begun[0] / TRAIN} and {begun[1] / TRAIN}; keep one of them")
    return begun[0] if begun else folder


def class_folders(tree: Path) -> tuple[str, ...]:
    """The names of its folders that are not hidden, sorted."""
    with os.scandir(tree) as entries:
        return tuple(sorted(e.name for e in entries if e.is_dir() and not is_litter(e.name)))


def _validation(folder: Path, tree: Path, classes: tuple[str, ...]) -> PhotoIndex:
    if not (val_classes := class_folders(tree / VAL)):
        return _flat(folder, tree, classes)
    if strange := sorted(set(val_classes) ^ set(classes)):
        where, other = (TRAIN, VAL) if strange[0] in classes else (VAL, TRAIN)
        raise DataError(f"{NAME}: class {strange[0]!r} is in {tree / where}, but not in {tree / other}")
    return _in_folders(tree / VAL, classes)


def _flat(folder: Path, tree: Path, classes: tuple[str, ...]) -> PhotoIndex:
    """Photos in val/ itself, by the labels of the development kit or of Kaggle."""
    names = sorted(name for name in os.listdir(tree / VAL) if is_photo(name))
    wnids, source = _labelled(folder, tree, names)
    numbers = {wnid: label for label, wnid in enumerate(classes)}
    if strange := sorted(set(wnids) ^ set(classes)):
        where = f"in {tree / TRAIN}" if strange[0] in numbers else f"in {source}"
        raise DataError(f"{NAME}: class {strange[0]!r} is {where}, but not in both training and validation")
    order = sorted(range(len(names)), key=lambda i: (wnids[i], names[i]))  # as if they lay in class folders
    return PhotoIndex.from_lists(tree / VAL, [names[i] for i in order], [numbers[wnids[i]] for i in order])


def _labelled(folder: Path, tree: Path, names: list[str]) -> tuple[list[str], Path]:
    """The synset of each validation photo, and the file that says so."""
    if kit := devkit.find(folder):
        return devkit.validation_wnids(kit, names), kit / devkit.TRUTH
    if solution := kaggle.find_solution(folder, tree):
        return kaggle.validation_wnids(solution, names), solution
    raise DataError(
        f"{NAME}: {tree / VAL} has no class folders, and in {folder} is neither {devkit.FOLDER} nor {kaggle.SOLUTION},"
        " which would say what its photos show"
    )


def _in_folders(tree: Path, classes: tuple[str, ...]) -> PhotoIndex:
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        photos = [*_photos(tree, name)]
        if not photos:
            raise DataError(f"{NAME}: class folder {tree / name} has no photos; remove it or unpack it again")
        paths += photos
        labels += [label] * len(photos)
    return PhotoIndex.from_lists(tree, paths, labels)


def _photos(tree: Path, name: str) -> Iterator[str]:
    """Paths below `tree` of the photos in a class folder and in folders below it, in ImageFolder's order."""
    for where, below, files in sorted(os.walk(tree / name, followlinks=True)):
        below.sort()
        base = os.path.relpath(where, tree)
        if not any(map(is_litter, base.split(os.sep))):
            yield from (f"{base}/{file}" for file in sorted(files) if is_photo(file))
