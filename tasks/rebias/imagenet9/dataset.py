"""The photos of the nine classes, for training and validation, and ImageNet-A, whose photos mislead networks."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np

from optathlon.tasks.data import archives
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.layouts import require_place
from optathlon.tasks.images.photos import Photo, decode_each
from optathlon.tasks.rebias.imagenet9 import layout, miniature, standin
from optathlon.tasks.rebias.imagenet9.classes import IMAGENET_A
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERS, TRAIN, VAL, find_clusters, photos

VALIDATION = (250, 250, 150, 250, 250, 250, 250, 200, 250)
"""Photos for validation of each class: 50 of each synset."""
CLUSTERS_SHA256 = "40a55e0a276d4d323a20baa358429ccccbbb873afdd5bc58c1298680ecc824ba"
"""Of clovaai/rebias's file, at commit 79d1d1d."""
ARCHIVE, ARCHIVE_MD5 = "imagenet-a.tar", "c3e55429088dc681f30d81f4726b6595"
TREE = "imagenet-a"
HARD_PHOTOS = 617
"""Of the nine classes in ImageNet-A (Heo et al. 2021, Table E.1)."""


class ImageNet9(Dataset):
    """Nine classes of ILSVRC2012 made of 42 synsets: about 54,600 photos for training, 2,100 for validation."""

    name = layout.NAME
    title = "9-Class ImageNet"
    licence = "for non-commercial research and education, by agreement with ImageNet; the photos are their owners'"
    homepage = "https://github.com/clovaai/rebias"
    get = (
        f"folders {TRAIN}/ and {VAL}/ with ILSVRC2012's folders of the 42 synsets (others are passed over; links"
        f" will do) and {CLUSTERS} of clovaai/rebias in imagenet9/ below the data folder"
    )
    standins: ClassVar[dict[str, int]] = standin.STANDINS

    def verify(self, folder: Path) -> str | None:
        """Decodes every photo of the nine classes. Official by the counts of validation photos and the SHA-256 of the
        clusters; DataError names what is missing or damaged."""
        nine = layout.read(folder)
        decode_each(chain(nine.train, nine.val))
        counts = np.bincount([photo.label for photo in nine.val]).tolist()
        if counts != [*VALIDATION] or file_digest(find_clusters(folder)) != CLUSTERS_SHA256:
            return None
        return f"SHA-256 of {CLUSTERS}, counts of validation photos"

    def write_miniature(self, folder: Path) -> None:
        """42 synsets of 12 drawn glyphs for training and 10 for validation, mostly on the texture of their class."""
        miniature.write(folder)

    def write_standin(self, folder: Path) -> list[Source]:
        """Emoji of mammals, birds, sea animals, bugs, fruit, vegetables, vehicles, aircraft and clothes."""
        standin.write(folder)
        return standin.sources()


class ImageNetA(Dataset):
    """ImageNet-A (Hendrycks et al. 2021): 7,500 photos of 200 classes that a ResNet-50 gets wrong; used are 617."""

    name = "imagenet-a"
    title = "ImageNet-A"
    licence = "MIT as a collection; the photos are their owners'"
    homepage = "https://github.com/hendrycks/natural-adv-examples"
    get = (
        f"{ARCHIVE} (MD5 {ARCHIVE_MD5}) or the folder {TREE}/ it unpacks to, in imagenet-a/ below the data folder; of"
        " its folders those of the nine classes will do"
    )
    standins: ClassVar[dict[str, int]] = standin.STANDINS

    def verify(self, folder: Path) -> str | None:
        """Unpacks the archive if its folder is not there yet, and decodes every photo of the nine classes. Official by
        the archive's MD5, if it is there, and the counts of these photos."""
        archive = folder / ARCHIVE
        if archive.is_file() and not (folder / TREE).exists():
            archives.unpack(archive, folder / TREE, ARCHIVE_MD5)
        hard = read_imagenet_a(folder)
        decode_each(hard)
        if len(hard) != HARD_PHOTOS or (archive.is_file() and file_digest(archive, "md5") != ARCHIVE_MD5):
            return None
        return "counts of photos and synsets"

    def write_miniature(self, folder: Path) -> None:
        """21 synsets of 6 drawn glyphs on any texture."""
        miniature.write_imagenet_a(folder / TREE)

    def write_standin(self, folder: Path) -> list[Source]:
        """The emoji of two vendors whose style is in no other data."""
        standin.write_imagenet_a(folder / TREE)
        return standin.sources()


def read_imagenet_a(folder: Path) -> list[Photo]:
    """ImageNet-A's photos of the nine classes, sorted by synset and file, from its folder or `folder` itself.

    DataError if one of the 21 synsets is missing.
    """
    tree = require_place(ImageNetA.name, folder, (TREE, "."), IMAGENET_A[:1], ImageNetA.get)
    return photos(tree, IMAGENET_A)
