"""Pretrained weights: where their files must lie, and whether they are the ones. Needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError

FOLDER = "imagenet-weights"


NAMES = ("resnet50-0676ba61.pth", "resnet50-19c8e357.pth")  # the same V1 weights; each is named by its own SHA-256


def find(root: Path) -> Path:
    """The file of ResNet-50's V1 weights below the data folder `root`; DataError if it is absent or another."""
    return find_named(root, NAMES, "ResNet-50", "--scale mini and smoke train a small backbone from scratch")


def find_named(root: Path, names: Sequence[str], network: str, otherwise: str) -> Path:
    """The first of the files `names` that is below the data folder `root`; DataError if none is, or it is another.

    names: as torchvision names weights, with the beginning of their SHA-256 behind the last dash. network: whose
    weights they are, otherwise: what can be done without them, both for the message.
    """
    folder, url = Path(root) / FOLDER, f"https://download.pytorch.org/models/{names[0]}"
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{FOLDER}: no {names[0]} in {folder}; the backbone starts from torchvision's IMAGENET1K_V1 weights of"
            f" {network}: put {url} there ({otherwise})"
        )
    digest, expected = file_digest(path), path.stem.rpartition("-")[2]
    if not digest.startswith(expected):
        raise DataError(
            f"{FOLDER}: {path} has SHA-256 {digest[:16]}…, expected one that begins with {expected}, as its name says;"
            f" fetch it again from {url}"
        )
    return path
