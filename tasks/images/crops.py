"""Cutting and mirroring pictures, each a function of the picture and a random generator. Needs no torch."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from optathlon.tasks.images.files import decode, opening

BILINEAR, BICUBIC = Image.Resampling.BILINEAR, Image.Resampling.BICUBIC
INTERPOLATIONS = {"bilinear": (BILINEAR,), "bicubic": (BICUBIC,), "random": (BILINEAR, BICUBIC)}
TRIES, NARROWEST, WIDEST = 10, 3 / 4, 4 / 3
LONG = 8
"""From this ratio of its sides on a photo is cut before it is resized."""


class Box(NamedTuple):
    """A rectangle of a picture, in pixels."""

    left: int
    top: int
    width: int
    height: int


def random_box(size: tuple[int, int], smallest: float, random: np.random.Generator) -> Box:
    """A random part of a picture of `size` (width, height): `smallest` of its area or more, 3:4 to 4:3 wide.

    As torchvision's RandomResizedCrop.get_params.
    """
    width, height = size
    for _ in range(TRIES):
        area = width * height * random.uniform(smallest, 1.0)
        ratio = math.exp(random.uniform(math.log(NARROWEST), math.log(WIDEST)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(random.integers(0, width - wide + 1)), int(random.integers(0, height - high + 1))
            return Box(left, top, wide, high)
    wide, high = min(width, round(height * WIDEST)), min(height, round(width / NARROWEST))
    return Box((width - wide) // 2, (height - high) // 2, wide, high)


def random_crop(
    image: Image.Image, side: int, smallest: float, random: np.random.Generator, interpolation: str = "bilinear"
) -> Image.Image:
    """A random part of the photo at `side` × `side` pixels, mirrored half the time.

    As torchvision's RandomResizedCrop and RandomHorizontalFlip. interpolation: "bilinear", "bicubic", or "random", one
    of the two at random, as timm has it.
    """
    left, top, wide, high = random_box(image.size, smallest, random)
    cut = image.crop((left, top, left + wide, top + high))
    return _mirrored(cut.resize((side, side), _chosen(interpolation, random)), random)


def open_random_crop(
    path: Path, side: int, smallest: float, random: np.random.Generator, interpolation: str = "bilinear"
) -> Image.Image:
    """random_crop of a photo that is decoded no larger than that needs, which is faster and, within a photo's noise,
    the same."""
    with opening(path) as opened:
        width, height = opened.size
        left, top, wide, high = random_box(opened.size, smallest, random)
        shrink = max(1, min(wide // side, high // side))
        image = decode(opened, (width // shrink, height // shrink))
    x, y = image.width / width, image.height / height
    box = (left * x, top * y, min((left + wide) * x, image.width), min((top + high) * y, image.height))
    return _mirrored(image.resize((side, side), _chosen(interpolation, random), box=box), random)


def center_crop(image: Image.Image, resize: int, side: int, interpolation: str = "bilinear") -> Image.Image:
    """The photo with its shorter side resized to `resize` pixels, and of that the middle. As torchvision's Resize and
    CenterCrop."""
    width, height = image.size
    short = min(width, height)
    wide, high = (resize * width // short, resize * height // short)
    left, top = round((wide - side) / 2), round((high - side) / 2)
    (method,) = INTERPOLATIONS[interpolation]
    if max(wide, high) > LONG * resize:  # cut first, as all of such a photo would be resized for the few in its middle
        x, y = width / wide, height / high
        return image.resize((side, side), method, box=(left * x, top * y, (left + side) * x, (top + side) * y))
    return image.resize((wide, high), method).crop((left, top, left + side, top + side))


def _chosen(interpolation: str, random: np.random.Generator) -> Image.Resampling:
    methods = INTERPOLATIONS[interpolation]
    return methods[0] if len(methods) == 1 else methods[int(random.integers(len(methods)))]


def _mirrored(image: Image.Image, random: np.random.Generator) -> Image.Image:
    return image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else image
