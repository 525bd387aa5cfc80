"""MS-COCO 2017 in its official files."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.coco import miniature, standin
from optathlon.tasks.coco.layout import NAME, TEST, TRAIN, Annotations, read_both
from optathlon.tasks.data import archives
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.files import open_photo

ARCHIVES = {
    "train2017.zip": (TRAIN, "cced6f7f71b7629ddf16f17bbcfab6b2"),
    "val2017.zip": (TEST, "442b8da7639aecaf257c1dceb8ba8c80"),
    "annotations_trainval2017.zip": ("annotations", "f4bbac642086de4f52a3fdda2de5fa2c"),
}
"""The folder in each archive, and the archive's MD5."""
COUNTS = ((118287, 117266), (5000, 4952))
"""Photos, and those of them with a box, in train2017 and in val2017."""


class Coco(Dataset):
    """MS-COCO 2017 (Lin et al. 2014): 123,287 photos with boxes around the objects of 80 categories."""

    name = NAME
    title = "MS-COCO 2017 (detection)"
    licence = "annotations CC BY 4.0; the photos belong to those who took them (Flickr's terms)"
    homepage = "https://cocodataset.org"
    get = (
        "the archives train2017.zip, val2017.zip and annotations_trainval2017.zip"
        " (http://images.cocodataset.org/zips/ and http://images.cocodataset.org/annotations/), or what they unpack to"
        f" (train2017/, val2017/, annotations/instances_*.json; a link {NAME}/{NAME} to such a folder, which is only"
        f" read, will do), in {NAME}/ below the data folder"
    )

    standins: ClassVar[dict[str, int]] = standin.STANDINS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks archives whose folder is not there yet, and decodes every photo."""
        proven = []
        for archive, (inside, md5) in ARCHIVES.items():
            if (folder / archive).is_file() and not (folder / inside).exists():
                archives.unpack(folder / archive, folder / inside, md5)
                proven.append(archive)
            elif (folder / archive).is_file() and file_digest(folder / archive, "md5") == md5:
                proven.append(archive)
        splits = read_both(folder)
        for split in splits:
            decode_all(split)
        if tuple((len(split), split.with_boxes) for split in splits) != COUNTS:
            return None
        return ", ".join([*(f"MD5 of {archive}" for archive in proven), "counts of photos and of photos with boxes"])

    def write_miniature(self, folder: Path) -> None:
        """Drawn shapes in three categories: 200 photos for training, 60 for the test."""
        miniature.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """Emoji of 68 of COCO's categories on photographs; the test's are drawn by other vendors."""
        return standin.write(folder)


def decode_all(split: Annotations) -> None:
    """Decode every photo; DataError names the first that is not whole or not of the listed size."""

    def decode(index: int) -> None:
        height, width = split.sizes[index]
        size = open_photo(split.path(index)).size
        if size != (width, height):
            raise DataError(
                f"{split.path(index)} is {size[0]} x {size[1]} pixels, but listed as {width} x {height}: its boxes"
                " would be elsewhere; fetch or unpack it again"
            )

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for _ in pool.map(decode, range(len(split))):
            pass
