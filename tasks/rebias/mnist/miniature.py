"""Digits that are not MNIST but look like it: drawn glyphs (the miniature) and other handwriting (the stand-ins)."""

from __future__ import annotations

import numpy as np

from optathlon.tasks.randomness import generator

SIDE = 28
GLYPHS = """
.###. ..#.. .###. .###. ...#. ##### ..##. ##### .###. .###.
#...# .##.. #...# #...# ..##. #.... .#... ....# #...# #...#
#..## ..#.. ....# ....# .#.#. ####. #.... ...#. #...# #...#
#.#.# ..#.. ...#. ..##. #..#. ....# ####. ..#.. .###. .####
##..# ..#.. ..#.. ....# ##### ....# #...# ..#.. #...# ....#
#...# ..#.. .#... #...# ...#. #...# #...# ..#.. #...# ...#.
.###. .###. ##### .###. ...#. .###. .###. ..#.. .###. .##..
"""


def miniature(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` images (n, 28, 28) uint8 and labels: glyphs in blocks of 3 pixels, slanted, moved, with worn strokes."""
    rows = [line.split() for line in GLYPHS.split("\n") if line]
    glyphs = [np.array([[pixel == "#" for pixel in row[label]] for row in rows]) for label in range(10)]
    random = generator("mnist", "miniature", split)
    labels = np.arange(count) % 10
    images = np.zeros((count, SIDE, SIDE), np.uint8)
    for image, label in zip(images, labels, strict=True):
        stroke = np.kron(glyphs[label], np.ones((3, 3), bool))
        height, width = stroke.shape
        top, left = random.integers(1, SIDE - height), random.integers(4, SIDE - width - 3)
        slant = random.integers(-3, 4)
        ink = random.integers(64, 256, stroke.shape) * (random.random(stroke.shape) < 0.95)
        for y in range(height):
            x = left + round(slant * (y / (height - 1) - 0.5))
            image[top + y, x : x + width] = stroke[y] * ink[y]
    return images, labels
