"""CIFAR-10 in its official files: the version for Python, in DATA/cifar10/cifar-10-batches-py/."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from optathlon.tasks.cifar.cifar10 import layout, miniature, standin
from optathlon.tasks.cifar.cifar10.layout import BATCHES, TREE
from optathlon.tasks.data import archives
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.layouts import require_place

PLACES = (TREE, ".")
ARCHIVE, ARCHIVE_MD5 = "cifar-10-python.tar.gz", "c58f30108f718f92721af3b95e74349a"
MD5 = {  # torchvision's cifar.py
    "data_batch_1": "c99cafc152244af753f735de768cd75f",
    "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "test_batch": "40351d587109b95175f43aff81a1287e",
}


class Cifar10(Dataset):
    """CIFAR-10 (Krizhevsky 2009): 50,000 training and 10,000 test images of ten classes, 32 x 32, RGB."""

    name = "cifar10"
    title = "CIFAR-10"
    licence = "none stated by its authors, who ask to be cited"
    homepage = "https://www.cs.toronto.edu/~kriz/cifar.html"
    get = (
        f"CIFAR-10's {ARCHIVE} (MD5 {ARCHIVE_MD5}), or the folder {TREE}/ it unpacks to, in cifar10/ below the data"
        " folder (the folder that torchvision's CIFAR10 has as its root will do)"
    )
    standins: ClassVar[dict[str, int]] = standin.STANDINS
    entries: ClassVar[tuple[str, ...]] = (f"{TREE}*", ARCHIVE, *MD5)

    def verify(self, folder: Path) -> str | None:
        """By the MD5 of the six batches, after unpacking the archive if they are not there yet; DataError if one is
        missing or damaged."""
        archive = folder / ARCHIVE
        if archive.is_file() and not (folder / TREE).exists():
            archives.unpack(archive, folder / TREE, ARCHIVE_MD5)
        tree = find(folder)
        for split in BATCHES:
            layout.read(tree, split)
        return "md5 of 6 files" if all(file_digest(tree / name, "md5") == MD5[name] for name in MD5) else None

    def write_miniature(self, folder: Path) -> None:
        """600 training and 200 test images of drawn shapes: a class is a form and a color, both of them noisy."""
        for split, count in (("train", 600), ("test", 200)):
            layout.write(folder / TREE, split, *miniature.miniature(split, count))

    def write_standin(self, folder: Path) -> list[Source]:
        """Fashion-MNIST's 60,000 + 10,000 images, of which the last 10,000 for training are left out."""
        sources = standin.sources()
        for split in BATCHES:
            layout.write(folder / TREE, split, *standin.standin(split))
        return sources


def find(folder: Path) -> Path:
    """The folder below `folder`, or itself, that holds the batches; DataError if neither does."""
    return require_place(Cifar10.name, folder, PLACES, BATCHES["train"][:1])
