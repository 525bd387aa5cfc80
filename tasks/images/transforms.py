"""Cutting, mirroring and normalizing pictures, each a function of the picture and a random generator."""

from __future__ import annotations

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


BILINEAR = Image.Resampling.BILINEAR


TRIES, NARROWEST, WIDEST = 10, 3 / 4, 4 / 3


def random_crop(image: Image.Image, side: int, smallest: float, random: np.random.Generator) -> Image.Image:
    """A random part of the photo, `smallest` of its area or more and 3:4 to 4:3 wide, mirrored half the time.

    As torchvision's RandomResizedCrop and RandomHorizontalFlip.
    """
    width, height = image.size
    for _ in range(TRIES):
        area = width * height * random.uniform(smallest, 1.0)
        ratio = math.exp(random.uniform(math.log(NARROWEST), math.log(WIDEST)))
        wide, high = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < wide <= width and 0 < high <= height:
            left, top = int(random.integers(0, width - wide + 1)), int(random.integers(0, height - high + 1))
            break
    else:
        wide, high = min(width, round(height * WIDEST)), min(height, round(width / NARROWEST))
        left, top = (width - wide) // 2, (height - high) // 2
    cut = image.crop((left, top, left + wide, top + high)).resize((side, side), BILINEAR)
    return cut.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if random.random() < 0.5 else cut


def center_crop(image: Image.Image, resize: int, side: int) -> Image.Image:
    """The photo with its shorter side resized to `resize` pixels, and of that the middle. As torchvision's Resize and
    CenterCrop."""
    width, height = image.size
    short = min(width, height)
    wide, high = (resize * width // short, resize * height // short)
    left, top = round((wide - side) / 2), round((high - side) / 2)
    return image.resize((wide, high), BILINEAR).crop((left, top, left + side, top + side))


def normalize(pixels: Tensor) -> Tensor:
    """Bytes (n, 3, h, w) to numbers with ImageNet's mean 0 and deviation 1 by channel."""
    mean, std = (torch.tensor(values, device=pixels.device)[:, None, None] for values in (MEAN, STD))
    return (pixels.float() / 255 - mean) / std
