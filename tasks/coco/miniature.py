"""The miniature of COCO: drawn shapes of three categories on noisy grounds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optathlon.tasks.coco.layout import TEST, TRAIN
from optathlon.tasks.coco.writing import Drawn, Picture, write_split
from optathlon.tasks.randomness import generator

CATEGORIES = {1: "disc", 13: "triangle", 90: "cross"}
"""Category ids have gaps, as the official ones."""
COLORS = {1: (245, 245, 245), 13: (12, 12, 12), 90: (225, 30, 40)}
"""White, black and gaudy: SSD sees photos with their channels swapped."""
PHOTOS = {TRAIN: 200, TEST: 60}
SHORT, LONG = 100, 129
SMALLEST, LARGEST = 18, 56  # half a side
EMPTY, CROWDED = 20, 11  # one in so many photos is without objects, has a crowd


def write(folder: Path) -> None:
    """Write both splits."""
    for number, (split, count) in enumerate(PHOTOS.items()):
        write_split(folder, split, 1000 * number, CATEGORIES, _pictures(split, count))


def _pictures(split: str, count: int) -> Iterator[Picture]:
    for index in range(count):
        random = generator("coco", "miniature", split, index)
        height, width = random.integers(SHORT, LONG, 2)
        many = 0 if index % EMPTY == EMPTY - 1 else int(random.integers(1, 3))
        yield _picture(int(height), int(width), many, index % CROWDED == 5, random)


def _picture(height: int, width: int, many: int, crowded: bool, random: np.random.Generator) -> Picture:
    ground = random.uniform(80, 170) + random.uniform(-15, 15, 3)
    pixels = np.broadcast_to(ground, (height, width, 3)).copy()
    taken = np.zeros((height, width), dtype=bool)
    objects = []
    for _ in range(many):
        category = int(random.choice([*CATEGORIES]))
        mask = _shape(CATEGORIES[category], height, width, random)
        if (mask & taken).sum() > 0.1 * mask.sum():  # hidden parts would make boxes of what cannot be seen
            continue
        pixels[mask] = np.array(COLORS[category]) * random.uniform(0.85, 1.05)
        taken |= mask
        objects.append(Drawn(category, mask, ("rle", "polygon")[len(objects) % 2]))
    if crowded:
        objects += _crowd(pixels, taken, random)
    noisy = pixels + 8 * random.standard_normal(pixels.shape)
    return Picture(np.clip(noisy, 0, 255).astype(np.uint8), objects)


def _crowd(pixels: np.ndarray, taken: np.ndarray, random: np.random.Generator) -> list[Drawn]:
    """Nine small discs, of which no one is told apart, where there is room for them."""
    height, width = taken.shape
    top, left = int(random.integers(0, height - 27)), int(random.integers(0, width - 27))
    y, x = np.indices((height, width)) - np.array([top, left])[:, None, None]
    inside = (y >= 0) & (y < 27) & (x >= 0) & (x < 27)
    mask = inside & ((y % 9 - 4) ** 2 + (x % 9 - 4) ** 2 < 12)
    if (mask & taken).any():
        return []
    pixels[mask] = COLORS[1]
    return [Drawn(1, mask, crowd=True)]


def _shape(form: str, height: int, width: int, random: np.random.Generator) -> np.ndarray:
    half = random.uniform(SMALLEST, min(LARGEST, min(height, width) / 2.1), 2)
    center = random.uniform(half, np.array([height, width]) - half)
    y, x = (np.indices((height, width)) + 0.5 - center[:, None, None]) / half[:, None, None]
    return {
        "disc": x**2 + y**2 < 1,
        "triangle": (y < 1) & (y > 2 * abs(x) - 1),
        "cross": (np.minimum(abs(x), abs(y)) < 0.4) & (np.maximum(abs(x), abs(y)) < 1),
    }[form]
