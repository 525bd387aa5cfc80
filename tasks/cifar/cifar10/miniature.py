"""Images that are not CIFAR-10 but come in its shape: drawn forms, told apart by form and color together."""

from __future__ import annotations

import colorsys

import numpy as np

from optathlon.tasks.cifar.cifar10.layout import CLASSES
from optathlon.tasks.cifar.settings import SIDE
from optathlon.tasks.randomness import generator

FORMS = ("disc", "square", "ring", "cross", "bars")
HUES = (0.0, 0.5)
"""A class is one of five forms in one of two hues, so neither alone tells it."""


def miniature(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
    """`count` images (n, 3, 32, 32) uint8 and labels, the classes in turn."""
    random = generator("cifar10", "miniature", split)
    labels = np.arange(count) % CLASSES
    return np.stack([_draw(FORMS[label % 5], HUES[label // 5], random) for label in labels]), labels


def _draw(form: str, hue: float, random: np.random.Generator) -> np.ndarray:
    """A form somewhere near the middle, of some size, shade and contrast, on a gray ground, under noise."""
    size = random.uniform(9.0, 13.0)
    center = random.uniform(size, SIDE - size, 2)
    y, x = (np.indices((SIDE, SIDE)) - center[:, None, None]) / size
    inside = {
        "disc": x**2 + y**2 < 1,
        "square": np.maximum(abs(x), abs(y)) < 0.85,
        "ring": abs(x**2 + y**2 - 0.75) < 0.35,
        "cross": (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1),
        "bars": (abs(abs(y) - 0.6) < 0.25) & (abs(x) < 1),
    }[form]
    shade = colorsys.hsv_to_rgb((hue + random.normal(0.0, 0.06)) % 1.0, random.uniform(0.5, 1.0), 1.0)
    ground, contrast = random.uniform(0.2, 0.5), random.uniform(0.3, 0.8)
    color = ground + contrast * (np.array(shade) - 0.4)
    picture = np.where(inside[None], color[:, None, None], ground) + 0.03 * random.standard_normal((3, SIDE, SIDE))
    return (255 * picture.clip(0, 1)).astype(np.uint8)
