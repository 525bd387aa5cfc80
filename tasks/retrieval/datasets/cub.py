"""Caltech-UCSD Birds 200-2011 in its official files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.data import archives, listing
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.layouts import find_place, require_place
from optathlon.tasks.errors import DataError
from optathlon.tasks.images import emoji
from optathlon.tasks.images.files import save
from optathlon.tasks.images.photos import Photo, Shown, Splits, decode_all
from optathlon.tasks.images.shapes import classes
from optathlon.tasks.retrieval.datasets import photo_lists, standin

NAME = "cub"
TREE, ARCHIVE, ARCHIVE_MD5 = "CUB_200_2011", "CUB_200_2011.tgz", "97eceeb196236b17998738112f37df78"
PLACES, IMAGES = (TREE, "."), "images.txt"
COUNTS = (5864, 5924, 100, 100)
CLASSES, TRAINING = 200, 100  # classes 1 to 100 train, 101 to 200 test


class Cub(Dataset):
    """CUB-200-2011 (Wah et al. 2011): 11,788 photos of birds of 200 species."""

    name = NAME
    title = "Caltech-UCSD Birds-200-2011"
    licence = "see its homepage; the photos belong to those who took them"
    homepage = "https://www.vision.caltech.edu/datasets/cub_200_2011/"
    get = (
        f"the archive {ARCHIVE} (MD5 {ARCHIVE_MD5}; https://data.caltech.edu/records/65de6-vp158) or what it unpacks to"
        f" ({TREE}/images.txt, image_class_labels.txt, images/) in {NAME}/ below the data folder"
    )
    standins: ClassVar[dict[str, int]] = emoji.STANDINS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if no tree is there yet, and decodes every photo."""
        archive = folder / ARCHIVE
        if archive.is_file() and find_place(folder, PLACES, [IMAGES]) is None:
            archives.unpack(archive, folder / TREE, ARCHIVE_MD5)
        splits = read(folder)
        decode_all(splits)
        return photo_lists.proven(splits, COUNTS, archive, ARCHIVE_MD5)

    def write_miniature(self, folder: Path) -> None:
        """200 classes of 6 drawn shapes."""
        write(folder, classes(NAME, CLASSES, 6))

    def write_standin(self, folder: Path) -> list[Source]:
        """200 emoji, each drawn by 8 or 9 vendors."""
        write(folder, standin.classes(NAME))
        return standin.sources()


def read(folder: Path) -> Splits:
    """Photos of the first 100 classes for training and of the other 100 for the test; DataError if a file is broken."""
    tree = require_place(NAME, folder, PLACES, [IMAGES])
    labels: dict[str, int] = {}
    for place, (image, label) in listing.rows(tree / "image_class_labels.txt", ("image_id", "class_id")):
        if image in labels:
            raise DataError(f"{place}: image {image} has a class already")
        labels[image] = listing.number(place, "class", label)
        if labels[image] > CLASSES:
            raise DataError(f"{place}: class {label} is above {CLASSES}")
    listed = []
    for place, (image, path) in listing.rows(tree / IMAGES, ("image_id", "image_name")):
        if image not in labels:
            raise DataError(f"{place}: image {image} has no class in {tree / 'image_class_labels.txt'}, or is a second")
        listed.append((place, Photo(listing.below(tree / "images", place, path), labels.pop(image))))
    if labels:
        raise DataError(f"{tree / IMAGES}: image {next(iter(labels))}, which has a class, is missing; is it whole?")
    photos = photo_lists.unique(listed)
    train = [p for p in photos if p.label <= TRAINING]
    return photo_lists.check_splits(NAME, Splits(train, [p for p in photos if p.label > TRAINING]))


def write(folder: Path, shown: Sequence[Shown]) -> None:
    """Write 200 classes with the text files of the official tree; all boxes are whole images."""
    tree = folder / TREE
    lines: dict[str, list[str]] = {name: [] for name in ("images", "image_class_labels", "train_test_split")}
    lines["classes"], lines["bounding_boxes"] = [], []
    for label, category in enumerate(shown, start=1):
        title = f"{label:03}.{category.name}"
        lines["classes"].append(f"{label} {title}")
        for place, (instance, pixels) in enumerate(category.images.items()):
            image = len(lines["images"]) + 1
            path = f"{title}/{category.name}_{instance}.jpg"
            height, width, _ = pixels.shape
            lines["images"].append(f"{image} {path}")
            lines["image_class_labels"].append(f"{image} {label}")
            lines["train_test_split"].append(f"{image} {place % 2}")
            lines["bounding_boxes"].append(f"{image} 0.0 0.0 {width:.1f} {height:.1f}")
            save(tree / "images" / path, pixels)
    for name, content in lines.items():
        (tree / f"{name}.txt").write_text("".join(f"{line}\n" for line in content), encoding="utf-8")
