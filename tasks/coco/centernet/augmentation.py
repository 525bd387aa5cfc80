"""How CenterNet sees photos: cut, scaled, mirrored and tinted at random in training, whole otherwise."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.coco.photos import Window

SCALES = (0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2, 1.3)
BORDER = 128  # pixels at each side of a photo where no cut has its middle, or half, a quarter ... of it in small ones
PAD = 32  # inputs of whole photos are padded to the next multiple of it
STRENGTH, LIGHT = 0.4, 0.1

# All by blue, green, red, the order of the reference code, which reads photos by OpenCV (coco.py, image.py).
MEAN, STD = (0.40789654, 0.44719302, 0.47026115), (0.28863828, 0.27408164, 0.27809835)
GRAY = (0.114, 0.587, 0.299)
EIGENVALUES = (0.2141788, 0.01817699, 0.00341571)
EIGENVECTORS = (
    (-0.58752847, -0.69563484, 0.41340352),
    (-0.5832747, 0.00994535, -0.81221408),
    (-0.56089297, 0.71832671, 0.41158938),
)


def random_window(width: int, height: int, size: int, random: np.random.Generator) -> Window:
    """A square of 0.6 to 1.3 times the photo's longer side around a random middle, mirrored half the time.

    Source: CenterNet's ctdet.py.
    """
    side = max(width, height) * random.choice(SCALES)
    x, y = (random.integers(_border(length), length - _border(length)) for length in (width, height))
    half = side / 2
    return Window(x - half, y - half, x + half, y + half, size, size, mirrored=bool(random.random() < 0.5))


def _border(length: int) -> int:
    parts = 1
    while length - BORDER // parts <= BORDER // parts:
        parts *= 2
    return BORDER // parts


def whole_window(width: int, height: int) -> Window:
    """The photo in its own resolution, in the middle of an input whose sides are the next multiples of 32."""
    wide, high = (length // PAD * PAD + PAD for length in (width, height))
    left, top = width // 2 - wide // 2, height // 2 - high // 2
    return Window(left, top, left + wide, top + high, wide, high)


def fixed_window(width: int, height: int, size: int) -> Window:
    """The photo in the middle of a square input of `size`, which its longer side fills."""
    half = max(width, height) / 2
    return Window(width / 2 - half, height / 2 - half, width / 2 + half, height / 2 + half, size, size)


class Tint(NamedTuple):
    """A change of colors from 0 to 1: color * a pixel's color + gray * its gray + mean * the photo's mean gray + light.

    Brightness, contrast and saturation in any order come to this, because each is linear in the colors.
    """

    color: float = 1.0
    gray: float = 0.0
    mean: float = 0.0
    light: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """By blue, green, red."""

    def row(self) -> list[float]:
        return [self.color, self.gray, self.mean, *self.light]


def random_tint(random: np.random.Generator) -> Tint:
    """Brightness, contrast and saturation changed by up to 0.4 in random order, and light along the principal colors.

    Source: CenterNet's image.py; Krizhevsky et al. 2012, section 4.1, for the light.
    """
    color, gray, mean = 1.0, 0.0, 0.0
    for change in random.permutation(["brightness", "contrast", "saturation"]):
        factor = random.uniform(1 - STRENGTH, 1 + STRENGTH)
        color, gray, mean = color * factor, gray * factor, mean * factor
        if change == "contrast":
            mean += 1 - factor
        elif change == "saturation":
            gray += 1 - factor
    blue, green, red = np.array(EIGENVECTORS) @ (EIGENVALUES * random.normal(0.0, LIGHT, 3))
    return Tint(color, gray, mean, (float(blue), float(green), float(red)))


def tinted(pixels: Tensor, tints: Tensor) -> Tensor:
    """Bytes (n, 3, height, width), red first, to normalized floats, blue first, each photo changed by its row of
    `tints` (n, 6: a `Tint`'s numbers)."""
    colors = pixels.flip(1).float() / 255
    gray = (colors * _column(GRAY, pixels)).sum(1, keepdim=True)
    for_color, for_gray, for_mean = (tints[:, i, None, None, None] for i in range(3))
    light = tints[:, 3:, None, None]
    changed = for_color * colors + for_gray * gray + for_mean * gray.mean((2, 3), keepdim=True) + light
    return (changed - _column(MEAN, pixels)) / _column(STD, pixels)


def untinted(pixels: Tensor) -> Tensor:
    """Bytes (n, 3, height, width), red first, to normalized floats, blue first."""
    return (pixels.flip(1).float() / 255 - _column(MEAN, pixels)) / _column(STD, pixels)


def _column(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device)[:, None, None]
