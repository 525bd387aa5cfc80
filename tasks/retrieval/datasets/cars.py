"""Cars-196 in its official files: car_ims/ and cars_annos.mat."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from optathlon.tasks.data import archives, listing, matlab
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.layouts import require_place
from optathlon.tasks.errors import DataError
from optathlon.tasks.images import emoji
from optathlon.tasks.images.files import save
from optathlon.tasks.images.photos import Photo, Shown, Splits, decode_all
from optathlon.tasks.images.shapes import classes
from optathlon.tasks.retrieval.datasets import photo_lists, standin

NAME = "cars"
TREE, IMAGES, ANNOTATIONS = "cars196", "car_ims", "cars_annos.mat"
PLACES = (TREE, ".")
ARCHIVE, ARCHIVE_MD5, ANNOTATIONS_MD5 = (
    "car_ims.tgz",
    "d5c8f0aa497503f355e17dc7886c3f14",
    "b407c6086d669747186bd1d764ff9dbc",
)
COUNTS = (8054, 8131, 98, 98)
CLASSES, TRAINING = 196, 98  # classes 1 to 98 train, 99 to 196 test, whatever the file's own test flag says
HEADER, HEADER_BYTES = b"MATLAB 5.0 MAT-file", 116  # SciPy's own has the time of day
STRUCT, NEEDED = "annotations", ("relative_im_path", "class")
FIELDS = ("relative_im_path", "bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "test")


class Cars(Dataset):
    """Cars-196 (Krause et al. 2013): 16,185 photos of cars of 196 models."""

    name = NAME
    title = "Stanford Cars (Cars-196)"
    licence = "see its homepage; the photos belong to those who took them"
    homepage = "https://ai.stanford.edu/~jkrause/cars/car_dataset.html"
    get = (
        f"{ARCHIVE} (MD5 {ARCHIVE_MD5}) or the folder {IMAGES}/ it unpacks to, and {ANNOTATIONS} (MD5"
        f" {ANNOTATIONS_MD5}), both in {NAME}/ below the data folder; files in cars_train/ and cars_test/ will not do"
    )
    standins: ClassVar[dict[str, int]] = emoji.STANDINS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if no photos are there yet, and decodes every one."""
        tree = require_place(NAME, folder, PLACES, [ANNOTATIONS])
        archive = tree / ARCHIVE
        if archive.is_file() and not (tree / IMAGES).exists():
            archives.unpack(archive, tree / IMAGES, ARCHIVE_MD5)
        whole = file_digest(tree / ANNOTATIONS, "md5") == ANNOTATIONS_MD5
        if not whole:
            matlab.survive(tree / ANNOTATIONS, STRUCT)
        splits = read(folder)
        decode_all(splits)
        official = whole and splits.counts == COUNTS
        if archive.is_file():
            official = official and file_digest(archive, "md5") == ARCHIVE_MD5
        return f"MD5 of {ANNOTATIONS}, counts" if official else None

    def write_miniature(self, folder: Path) -> None:
        """196 classes of 6 drawn shapes."""
        write(folder, classes(NAME, CLASSES, 6))

    def write_standin(self, folder: Path) -> list[Source]:
        """196 emoji, each drawn by 8 or 9 vendors, none of them in CUB's stand-in."""
        write(folder, standin.classes(NAME))
        return standin.sources()


def read(folder: Path) -> Splits:
    """Photos of the first 98 classes for training and of the other 98 for the test; DataError if a file is broken."""
    tree = require_place(NAME, folder, PLACES, [ANNOTATIONS])
    path = tree / ANNOTATIONS
    records = enumerate(matlab.records(path, STRUCT, NEEDED), start=1)
    photos = photo_lists.unique(_photo(tree, f"{path}, annotation {index}", record) for index, record in records)
    train = [p for p in photos if p.label <= TRAINING]
    return photo_lists.check_splits(NAME, Splits(train, [p for p in photos if p.label > TRAINING]))


def _photo(tree: Path, place: str, record: Any) -> tuple[str, Photo]:
    label = matlab.integer(place, "class", record["class"])
    if label not in range(1, CLASSES + 1):
        raise DataError(f"{place}: class {label} is not in 1 to {CLASSES}")
    return place, Photo(listing.below(tree, place, str(record["relative_im_path"])), label)


def write(folder: Path, shown: Sequence[Shown]) -> None:
    """Write 196 classes as the official files have them; all boxes are whole images."""
    from scipy.io import savemat

    tree, records = folder / TREE, []
    for label, category in enumerate(shown, start=1):
        for place, pixels in enumerate(category.images.values()):
            path = f"{IMAGES}/{len(records) + 1:06}.jpg"
            height, width, _ = pixels.shape
            records.append((path, 1, 1, width, height, label, place % 2))
            save(tree / path, pixels)
    annotations = np.array(records, dtype=[(field, object) for field in FIELDS])
    names = np.array([category.name for category in shown], dtype=object)
    file = io.BytesIO()
    savemat(file, {STRUCT: annotations, "class_names": names})
    (tree / ANNOTATIONS).write_bytes(HEADER.ljust(HEADER_BYTES) + file.getvalue()[HEADER_BYTES:])
