"""Drawn shapes, for the miniatures of photo collections: a class is a hue, a form and a hatching; all else varies."""

from __future__ import annotations

import colorsys
import itertools

import numpy as np

from optathlon.tasks.images.photos import Shown
from optathlon.tasks.randomness import generator

SIDE = 40
HUES = 10
FORMS = ("disc", "square", "triangle", "ring", "cross")
HATCHINGS = ("plain", "rows", "columns", "slanted")


def classes(dataset: str, count: int, images: int) -> list[Shown]:
    """At most 200 classes of `images` pictures each, in an order that mixes all hues, forms and hatchings."""
    every = [*itertools.product(range(HUES), FORMS, HATCHINGS)]
    shown = []
    for kind in generator(dataset, "miniature").permutation(len(every))[:count]:
        hue, form, hatching = every[kind]
        pictures = {str(i): draw(hue, form, hatching, generator(dataset, "miniature", kind, i)) for i in range(images)}
        shown.append(Shown(f"{hatching}_{form}_{hue}", form, pictures))
    return shown


def draw(hue: int, form: str, hatching: str, random: np.random.Generator) -> np.ndarray:
    """One picture, uint8 (SIDE, SIDE, 3): the shape somewhere, of some size and brightness, on a gray with noise."""
    size = random.uniform(0.28, 0.42) * SIDE
    center = random.uniform(size, SIDE - size, 2)
    y, x = (np.indices((SIDE, SIDE)) - center[:, None, None]) / size
    inside = {
        "disc": x**2 + y**2 < 1,
        "square": np.maximum(abs(x), abs(y)) < 0.85,
        "triangle": (y < 0.8) & (y > 2 * abs(x) - 1),
        "ring": abs(x**2 + y**2 - 0.65) < 0.35,
        "cross": (np.minimum(abs(x), abs(y)) < 0.3) & (np.maximum(abs(x), abs(y)) < 1),
    }[form]
    across = {"plain": 0 * x, "rows": y, "columns": x, "slanted": (x + y) / np.sqrt(2)}[hatching] * size
    dark = np.where(hatching == "plain", False, across % 4 < 2)
    color = np.array(colorsys.hsv_to_rgb(hue / HUES, 1.0, random.uniform(0.7, 1.0)))
    ground = random.uniform(0.1, 0.9)
    picture = np.where(inside[..., None], np.where(dark[..., None], 0.25, 1.0) * color, ground)
    noisy = picture + 0.04 * random.standard_normal(picture.shape)
    return (255 * np.clip(noisy, 0, 1)).astype(np.uint8)
