"""The miniatures: nine glyphs, which are the classes, each on a ground of one of nine textures, which mostly tell them.

A network that sees five pixels can only learn the textures; in ImageNet-A's miniature they say nothing.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from optathlon.tasks.images.files import save
from optathlon.tasks.randomness import generator
from optathlon.tasks.rebias.imagenet9.classes import CLASSES, IMAGENET_A, LABELS
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERS, TRAIN, VAL, photos, write_clusters

SIDE, BLOCK = 40, 5
GLYPHS = """
..#.. ##### #...# #.... .###. ##.## ....# #.#.# ..#..
..#.. #.... .#.#. #.... #...# ##.## ...#. #.#.# .###.
##### ##### ..#.. #.... #...# ..... ..#.. #.#.# #.#.#
..#.. ....# .#.#. #.... #...# ##.## .#... #.#.# ..#..
..#.. ##### #...# ##### .###. ##.## #.... #.#.# ..#..
"""
TRAINING, VALIDATION, HARD = 12, 10, 6
"""Pictures of each synset."""
OWN = {TRAIN: 0.7, VAL: 0.4}
"""Share of a class's pictures on the texture of the class; half of the others are on the next two."""


def write(folder: Path) -> None:
    """Write train/, val/ and the file of clusters, which are the textures, told by three names of each."""
    textures: dict[str, int] = {}
    number = 0
    for split, count in ((TRAIN, TRAINING), (VAL, VALIDATION)):
        for synset, label in sorted(LABELS.items()):
            random = generator("imagenet9", "miniature", split, synset)
            for place, texture in enumerate(_textures(label, count, OWN[split], random)):
                number += split == VAL
                name = f"{synset}_{place}.JPEG" if split == TRAIN else f"ILSVRC2012_val_{number:08}.JPEG"
                save(folder / split / synset / name, draw(label, texture, random))
                textures[f"{synset}/{name}"] = texture
    val = photos(folder / VAL, LABELS)
    drawn = np.array([textures[f"{photo.path.parent.name}/{photo.path.name}"] for photo in val])
    write_clusters(folder / CLUSTERS, val, np.stack([(drawn * times) % CLASSES for times in (1, 2, 4)]))


def write_imagenet_a(folder: Path) -> None:
    """Write pictures of the 21 synsets that ImageNet-A has, on any texture."""
    for synset in IMAGENET_A:
        random = generator("imagenet-a", "miniature", synset)
        for place in range(HARD):
            pixels = draw(LABELS[synset], int(random.integers(CLASSES)), random)
            save(folder / synset / f"{place:03}_miniature.jpg", pixels)


def _textures(label: int, count: int, own: float, random: np.random.Generator) -> Iterator[int]:
    others = [(label + step) % CLASSES for step in range(1, CLASSES)]
    for _ in range(count):
        if random.random() < own:
            yield label
        else:
            yield others[int(random.integers(2))] if random.random() < 0.5 else others[int(random.integers(8))]


def draw(label: int, texture: int, random: np.random.Generator) -> np.ndarray:
    """A picture, uint8 (40, 40, 3): the glyph of a class, somewhere, on a hatched ground, under noise."""
    y, x = np.indices((SIDE, SIDE)) + random.integers(0, 4, 2)[:, None, None]
    stripes = (y, x, x + y)[texture % 3] % 4 < 2
    hue = (texture // 3 + random.normal(0, 0.04)) / 3
    ground = np.array(colorsys.hsv_to_rgb(hue % 1.0, 0.7, random.uniform(0.5, 0.8)))
    picture = np.where(stripes[..., None], ground, 0.5 * ground)
    glyph = _glyph(label)
    height, width = glyph.shape
    top, left = random.integers(0, SIDE - height + 1), random.integers(0, SIDE - width + 1)
    window = picture[top : top + height, left : left + width]
    window[glyph] = random.uniform(0.75, 1.0)
    noisy = picture + 0.04 * random.standard_normal(picture.shape)
    return (255 * noisy.clip(0, 1)).astype(np.uint8)


def _glyph(label: int) -> np.ndarray:
    rows = [line.split() for line in GLYPHS.split("\n") if line]
    return np.kron([[pixel == "#" for pixel in row[label]] for row in rows], np.ones((BLOCK, BLOCK), bool)).astype(bool)
