"""ImageNet's 1000 classes of the challenge of 2012: 1,281,167 photos for training, 50,000 for validation.

Russakovsky et al., "ImageNet Large Scale Visual Recognition Challenge", IJCV 2015.
"""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.data import matlab
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012 import devkit, hub, kaggle, miniature, official, standin
from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, TRAIN, VAL, ImageNet, read
from optathlon.tasks.images import emoji
from optathlon.tasks.images.photos import decode_each

COUNTS = (1_281_167, 50_000, 1000)


class ILSVRC2012(Dataset):
    name = NAME
    title = "ImageNet (ILSVRC2012)"
    licence = "for non-commercial research and education, by agreement with ImageNet; the photos are their owners'"
    homepage = "https://image-net.org/challenges/LSVRC/2012/"
    get = (
        f"folders {TRAIN}/ and {VAL}/ of class folders (n01440764/ and so on; links to where a site has them will do),"
        f" or {official.TRAIN_TAR}, {official.VAL_TAR} and {official.KIT}, or Kaggle's ILSVRC/ and {kaggle.SOLUTION},"
        f" or the parquet files of the hub's ILSVRC/imagenet-1k, in {NAME}/ below the data folder"
    )
    passed_over = (*kaggle.NOT_CLASSIFICATION, "test-*.parquet", "data/test-*.parquet")
    standins: ClassVar[dict[str, int]] = emoji.STANDINS

    def verify(self, folder: Path) -> str | None:
        """As Dataset.verify: unpacks archives or parquet files whose photos are not there yet, and decodes every photo.

        A development kit is read if there is one.
        """
        unpacked = official.unpack(folder) + hub.unpack(folder)
        if kit := devkit.find(folder):
            matlab.survive(kit / devkit.META, devkit.STRUCT)
        photos = read(folder)
        decode_each(chain(photos.train, photos.val))
        if photos.counts != COUNTS:
            return None
        _check_labels(photos)
        archives = [f"MD5 of {name}" for name in unpacked if name in official.MD5]
        return ", ".join([*archives, "counts of photos and classes"])

    def write_miniature(self, folder: Path) -> None:
        """20 classes of 40 drawn shapes for training and 10 for validation."""
        miniature.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """Every emoji that 8 or 9 vendors draw is a class; two vendors' drawings are for validation."""
        standin.write(folder)
        return emoji.sources()


def _check_labels(photos: ImageNet) -> None:
    """DataError unless each class has the official number of validation photos."""
    expected = COUNTS[1] // COUNTS[2]
    counted = [int((photos.val.labels == label).sum()) for label in range(len(photos.classes))]
    if wrong := [label for label, count in enumerate(counted) if count != expected]:
        label = wrong[0]
        raise DataError(
            f"{NAME}: {photos.val.folder}: class {photos.classes[label]} has {counted[label]} photos, expected"
            f" {expected}; are validation photos in the folders of other classes?"
        )
