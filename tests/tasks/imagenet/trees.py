"""ImageNet with a few photos, written by hand in the official folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from optathlon.tasks.imagenet.ilsvrc2012 import devkit
from optathlon.tasks.imagenet.ilsvrc2012.layout import ImageNet
from optathlon.tasks.imagenet.ilsvrc2012.miniature import wnid

CLASSES, TRAINING, VALIDATION = 3, 4, 2


def write(path: Path, shade: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8), (shade * 20, 9, 9)).save(path, format="JPEG")


def photo(number: int) -> str:
    return f"ILSVRC2012_val_{number:08}.JPEG"


def contents(found: ImageNet) -> list[tuple[str, int, bytes]]:
    """Names, labels and bytes of the photos of both splits, in order."""
    return [(p.path.name, p.label, p.path.read_bytes()) for part in (found.train, found.val) for p in part]


def write_kit(place: Path) -> Path:
    """A development kit: its class numbers run the other way round than the synsets, and one synset has no photos."""
    kit = place / devkit.FOLDER
    (kit / "data").mkdir(parents=True)
    rows = [(number + 1, wnid(CLASSES - 1 - number), 0) for number in range(CLASSES)] + [(CLASSES + 1, "n00001740", 3)]
    fields = [("ILSVRC2012_ID", object), ("WNID", object), ("num_children", object)]
    savemat(kit / devkit.META, {"synsets": np.array(rows, dtype=fields)})
    shown = [CLASSES - (number % CLASSES) for number in range(CLASSES * VALIDATION)]  # photo 1 is of class 0, and so on
    (kit / devkit.TRUTH).write_text("".join(f"{number}\n" for number in shown))
    return kit


def flatten(folder: Path) -> None:
    """Validation photos without class folders, as their archive has them."""
    for path in (folder / "val").glob("*/*"):
        path.rename(folder / "val" / path.name)
    for path in [*(folder / "val").glob("n*")]:
        path.rmdir()
