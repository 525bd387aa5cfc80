"""RandAugment as timm has it: a few random operations of fifteen, each of about one strength.

Cubuk et al., RandAugment, 2019; timm's `rand-m9-mstd0.5` of September 2020 (auto_augment.py), whose ranges are kept:
posterizing and solarizing are weaker at higher magnitudes there, and a rotation may turn either way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from optathlon.tasks.images.crops import BICUBIC, BILINEAR
from optathlon.tasks.images.transforms import MEAN

OPERATIONS, PROBABILITY, MOST = 2, 0.5, 10.0
FILL = tuple(min(255, round(255 * mean)) for mean in MEAN)
"""What comes in from outside where a picture is moved: ImageNet's mean color."""

Move = Callable[[Image.Image, float, Image.Resampling], Image.Image]


class RandAugment(NamedTuple):
    """Two of the operations, each applied half the time at a strength of `magnitude` ± `deviation`, from 0 to 10."""

    magnitude: float
    deviation: float

    def __call__(self, image: Image.Image, random: np.random.Generator) -> Image.Image:
        """The picture changed as `random` says; its size stays."""
        for name in random.choice(NAMES, OPERATIONS):
            if random.random() <= PROBABILITY:
                strength = random.normal(self.magnitude, self.deviation) if self.deviation else self.magnitude
                image = apply(str(name), image, min(max(strength, 0.0), MOST) / MOST, random)
        return image


def apply(name: str, image: Image.Image, share: float, random: np.random.Generator) -> Image.Image:
    """One operation at `share` (0 to 1) of its full strength; `random` gives moves a direction and a method."""
    if name in COLORS:
        return COLORS[name](image, share)
    largest, move = MOVES[name]
    amount = share * largest * (-1.0 if random.random() > 0.5 else 1.0)
    return move(image, amount, (BILINEAR, BICUBIC)[int(random.integers(2))])


def _affine(*matrix: float) -> Callable[[Image.Image, Image.Resampling], Image.Image]:
    def transform(image: Image.Image, method: Image.Resampling) -> Image.Image:
        return image.transform(image.size, Image.Transform.AFFINE, matrix, resample=method, fillcolor=FILL)

    return transform


def _posterize(image: Image.Image, bits: int) -> Image.Image:
    """Keeping none of the bits, which Pillow refuses, leaves black."""
    return ImageOps.posterize(image, bits) if bits else Image.new("RGB", image.size)


def _solarize_add(image: Image.Image, added: int) -> Image.Image:
    table = [min(255, value + added) if value < 128 else value for value in range(256)]
    return image.point(table * 3)


def _enhance(how: Callable[[Image.Image], ImageEnhance._Enhance]) -> Callable[[Image.Image, float], Image.Image]:
    """From 0.1, nearly all of it gone, over 1, unchanged, to 1.9."""
    return lambda image, share: how(image).enhance(1.8 * share + 0.1)


COLORS: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Invert": lambda image, _: ImageOps.invert(image),
    "Posterize": lambda image, share: _posterize(image, int(4 * share)),
    "Solarize": lambda image, share: ImageOps.solarize(image, int(256 * share)),
    "SolarizeAdd": lambda image, share: _solarize_add(image, int(110 * share)),
    "Color": _enhance(ImageEnhance.Color),
    "Contrast": _enhance(ImageEnhance.Contrast),
    "Brightness": _enhance(ImageEnhance.Brightness),
    "Sharpness": _enhance(ImageEnhance.Sharpness),
}
MOVES: dict[str, tuple[float, Move]] = {
    "Rotate": (30.0, lambda image, degrees, method: image.rotate(degrees, resample=method, fillcolor=FILL)),
    "ShearX": (0.3, lambda image, by, method: _affine(1, by, 0, 0, 1, 0)(image, method)),
    "ShearY": (0.3, lambda image, by, method: _affine(1, 0, 0, by, 1, 0)(image, method)),
    "TranslateXRel": (0.45, lambda image, by, method: _affine(1, 0, by * image.width, 0, 1, 0)(image, method)),
    "TranslateYRel": (0.45, lambda image, by, method: _affine(1, 0, 0, 0, 1, by * image.height)(image, method)),
}
"""The full strength (degrees, or a share of the picture) and the move, which may go either way."""

NAMES = (*COLORS, *MOVES)
