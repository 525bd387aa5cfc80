"""Pretrained weights: where their files must lie, and whether they are the ones. Needs no torch."""

from __future__ import annotations

from pathlib import Path

from optathlon.tasks.data.dataset import file_digest
from optathlon.tasks.errors import DataError

FOLDER = "imagenet-weights"


NAMES = ("resnet50-0676ba61.pth", "resnet50-19c8e357.pth")  # the same V1 weights; each is named by its own SHA-256


URL = f"https://download.pytorch.org/models/{NAMES[0]}"


def find(root: Path) -> Path:
    """The file of ResNet-50's V1 weights below the data folder `root`; DataError if it is absent or another."""
    folder = Path(root) / FOLDER
    path = next((folder / name for name in NAMES if (folder / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{FOLDER}: no {NAMES[0]} in {folder}; the backbone starts from torchvision's IMAGENET1K_V1 weights of"
            f" ResNet-50: put {URL} there (--scale mini and smoke train a small backbone from scratch)"
        )
    seen, wanted = file_digest(path), path.stem.rpartition("-")[2]
    if not seen.startswith(wanted):
        raise DataError(
            f"{FOLDER}: {path} has SHA-256 {seen[:16]}…, expected one that begins with {wanted}, as its name says;"
            f" fetch it again from {URL}"
        )
    return path
