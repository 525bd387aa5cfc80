"""Stanford Online Products in its official files."""

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

NAME = "sop"
TREE, ARCHIVE, ARCHIVE_MD5 = (
    "Stanford_Online_Products",
    "Stanford_Online_Products.zip",
    "7f73d41a2f44250d4779881525aea32e",
)
PLACES, LISTS = (TREE, "."), ("Ebay_train.txt", "Ebay_test.txt")
COUNTS = (59551, 60502, 11318, 11316)
HEADER = ("image_id", "class_id", "super_class_id", "path")


class Sop(Dataset):
    """Stanford Online Products (Oh Song et al. 2016): 120,053 photos of 22,634 products."""

    name = NAME
    title = "Stanford Online Products"
    licence = "see its homepage; the photos belong to those who took them"
    homepage = "https://cvgl.stanford.edu/projects/lifted_struct/"
    get = (
        f"the archive {ARCHIVE} (MD5 {ARCHIVE_MD5}; ftp://cs.stanford.edu/cs/cvgl/{ARCHIVE}) or what it unpacks to"
        f" ({TREE}/Ebay_train.txt, Ebay_test.txt and twelve folders) in {NAME}/ below the data folder"
    )
    standins: ClassVar[dict[str, int]] = emoji.STANDINS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks the archive if no tree is there yet, and decodes every photo."""
        archive = folder / ARCHIVE
        if archive.is_file() and find_place(folder, PLACES, LISTS[:1]) is None:
            archives.unpack(archive, folder / TREE, ARCHIVE_MD5)
        splits = read(folder)
        decode_all(splits)
        return photo_lists.proven(splits, COUNTS, archive, ARCHIVE_MD5)

    def write_miniature(self, folder: Path) -> None:
        """160 products of 6 drawn shapes each, half of them for training."""
        drawn = classes(NAME, 160, 6)
        write(folder, drawn[:80], drawn[80:])

    def write_standin(self, folder: Path) -> list[Source]:
        """Every emoji that 4 or more vendors draw, half of them for training."""
        shown = standin.classes(NAME)
        write(folder, shown[: len(shown) // 2], shown[len(shown) // 2 :])
        return standin.sources()


def read(folder: Path) -> Splits:
    """Photos for training and test as the two text files list them; DataError if one is broken."""
    tree = require_place(NAME, folder, PLACES, LISTS[:1])
    train, test = ([*_listed(tree, name)] for name in LISTS)
    photo_lists.unique([*train, *test])
    return photo_lists.check_splits(NAME, Splits(*([photo for _, photo in listed] for listed in (train, test))))


def _listed(tree: Path, name: str) -> list[tuple[str, Photo]]:
    lines = [*listing.rows(tree / name, HEADER)]
    if not lines or tuple(lines[0][1]) != HEADER:
        raise DataError(f"{tree / name}, line 1: expected {' '.join(HEADER)}")
    return [
        (place, Photo(listing.below(tree, place, path), listing.number(place, "class", label)))
        for place, (_, label, _, path) in lines[1:]
    ]


def write(folder: Path, train: Sequence[Shown], test: Sequence[Shown]) -> None:
    """Write the two lists and the photos; groups are the super-classes, and class and image ids count on."""
    tree = folder / TREE
    groups = sorted({category.group for category in [*train, *test]})
    image = label = 0
    for name, part in zip(LISTS, (train, test), strict=True):
        lines = [" ".join(HEADER)]
        for category in part:
            label += 1
            for place, pixels in enumerate(category.images.values()):
                image += 1
                path = f"{category.group}_final/{label:012}_{place}.JPG"
                lines.append(f"{image} {label} {groups.index(category.group) + 1} {path}")
                save(tree / path, pixels)
        (tree / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
