"""DeepFashion's In-shop Clothes Retrieval Benchmark in its official files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from optathlon.tasks.data import archives, listing
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.layouts import require_place
from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError
from optathlon.tasks.images import emoji
from optathlon.tasks.images.files import save
from optathlon.tasks.images.photos import Photo, Shown, Splits, decode_all
from optathlon.tasks.images.shapes import classes
from optathlon.tasks.retrieval.datasets import photo_lists, standin

NAME = "inshop"
LARGEST = 32 << 30
"""The most bytes that the archive, whose digest nobody publishes, may unpack to."""
TREE, LIST, IMAGES, ARCHIVE = "Inshop_Clothes", "Eval/list_eval_partition.txt", "Img/img", "Img/img.zip"
PLACES = (TREE, ".")
COUNTS = (25882, 14218, 12612, 3997, 3985)
HEADER = ("image_name", "item_id", "evaluation_status")
STATUSES = ("train", "query", "gallery")


class InShop(Dataset):
    """In-shop Clothes (Liu et al. 2016): 52,712 photos of 7,982 items; queries look in a gallery of their own."""

    name = NAME
    title = "DeepFashion: In-shop Clothes Retrieval Benchmark"
    licence = "for non-commercial research, by agreement with its authors"
    homepage = "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html"
    get = (
        f"{LIST} and the photos of 256 x 256 (img.zip, not img_highres.zip) as {ARCHIVE} or unpacked in {IMAGES}/, in"
        f" {NAME}/ below the data folder"
    )
    standins: ClassVar[dict[str, int]] = emoji.STANDINS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if no photos are there yet, and decodes every one."""
        tree = require_place(NAME, folder, PLACES, [LIST])
        if (tree / ARCHIVE).is_file() and not (tree / IMAGES).exists():
            archives.unpack(tree / ARCHIVE, tree / IMAGES, md5=None, largest=LARGEST)
        splits = read(folder)
        decode_all(splits)
        return "counts of photos and items" if splits.counts == COUNTS else None

    def write_miniature(self, folder: Path) -> None:
        """160 items of 6 drawn shapes each, half of them for training."""
        drawn = classes(NAME, 160, 6)
        write(folder, drawn[:80], drawn[80:], {"1", "3", "5"})

    def write_standin(self, folder: Path) -> list[Source]:
        """The emoji with 8 or 9 drawings that CUB's and Cars' stand-ins leave; queries and gallery by vendor."""
        shown = standin.classes(NAME)
        half = len(shown) // 2
        write(folder, shown[:half], shown[half:], standin.QUERIES)
        return standin.sources()


def read(folder: Path) -> Splits:
    """Photos for training, queries and gallery by the official list; DataError if it is broken."""
    tree = require_place(NAME, folder, PLACES, [LIST])
    path = tree / LIST
    lines = [*listing.rows(path, HEADER, skip=1)]
    if not lines or tuple(lines[0][1]) != HEADER:
        raise DataError(f"{path}, line 2: expected {' '.join(HEADER)}")
    listed: dict[str, list[tuple[str, Photo]]] = {status: [] for status in STATUSES}
    for place, (image, item, status) in lines[1:]:
        if status not in listed:
            raise DataError(f"{place}: evaluation status {status!r} is none of {', '.join(STATUSES)}")
        label = listing.number(place, "item", item.rpartition("_")[2])
        listed[status].append((place, Photo(listing.below(tree / "Img", place, image), label)))
    announced = read_text(path, "the official list").partition("\n")[0].strip()
    if announced != str(len(lines) - 1):
        raise DataError(f"{path}: line 1 says {announced!r}, but {len(lines) - 1} photos are listed; is it whole?")
    photo_lists.unique(both for photos in listed.values() for both in photos)
    return photo_lists.check_splits(NAME, Splits(*([photo for _, photo in listed[status]] for status in STATUSES)))


def write(folder: Path, train: Sequence[Shown], test: Sequence[Shown], queries: set[str]) -> None:
    """Write the list and the photos; of the test's classes the instances named in `queries` are the queries."""
    tree = folder / TREE
    lines: list[str] = []

    def add(label: int, item: Shown, instance: str, pixels: np.ndarray, status: str) -> None:
        path = f"img/{item.group}/{item.name}/id_{label:08}/{instance}_1_front.jpg"
        lines.append(f"{path:<70} id_{label:08} {status}")
        save(tree / "Img" / path, pixels)

    for label, item in enumerate([*train, *test], start=1):
        for instance, pixels in item.images.items():
            status = "train" if label <= len(train) else "query" if instance in queries else "gallery"
            add(label, item, instance, pixels, status)
    (tree / LIST).parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([str(len(lines)), " ".join(HEADER), *lines])
    (tree / LIST).write_text(text + "\n", encoding="utf-8")
