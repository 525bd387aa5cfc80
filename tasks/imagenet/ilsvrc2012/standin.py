"""The stand-in for ImageNet: emoji, each concept a class and each vendor's drawing of it a photo."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optathlon.tasks.imagenet.ilsvrc2012.miniature import write_classes
from optathlon.tasks.images import emoji

SIDE, LEAST = 96, 8
VALIDATION = ("noto", "openmoji")
"""Vendors of whose style nothing is in training."""


def write(folder: Path) -> None:
    """Write the class folders of all concepts that 8 or 9 vendors draw, two of the vendors for validation; DataError
    if a package is absent."""
    emoji.renderer()
    write_classes(folder, _classes())


def _classes() -> Iterator[tuple[list[np.ndarray], list[np.ndarray]]]:
    seen: set[bytes] = set()
    for concept in emoji.concepts(LEAST):
        drawn = emoji.draw(concept, SIDE, seen)
        held = [pixels for vendor, pixels in drawn.items() if vendor in VALIDATION]
        if held and len(held) < len(drawn):
            yield [pixels for vendor, pixels in drawn.items() if vendor not in VALIDATION], held
