"""Photos as the network sees them: cut at random in training, in the middle otherwise."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from optathlon.tasks.randomness import generator
from optathlon.tasks.retrieval.photos import Photo, open_photo

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
BILINEAR = Image.Resampling.BILINEAR
TRIES, NARROWEST, WIDEST = 10, 3 / 4, 4 / 3


class Pictures(NamedTuple):
    """Photos with labels, and the sides in pixels to which they are resized and cut."""

    photos: Sequence[Photo]
    resize: int
    crop: int
    smallest_crop: float
    seed: int

    def training(self, job: tuple[int, np.ndarray]) -> tuple[Tensor, Tensor]:
        """Bytes (n, 3, crop, crop) and labels (n,) of the photos at `job[1]`, cut and mirrored as in epoch `job[0]`."""
        epoch, chosen = job
        return self._stacked(chosen, [self._cut(int(index), epoch) for index in chosen])

    def evaluation(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """Bytes (n, 3, crop, crop) and labels (n,) of the middles of the photos at `chosen`."""
        images = [center_crop(open_photo(self.photos[index].path), self.resize, self.crop) for index in chosen]
        return self._stacked(chosen, images)

    def _cut(self, index: int, epoch: int) -> Image.Image:
        random = generator(self.seed, "crop", epoch, index)
        return random_crop(open_photo(self.photos[index].path), self.crop, self.smallest_crop, random)

    def _stacked(self, chosen: np.ndarray, images: list[Image.Image]) -> tuple[Tensor, Tensor]:
        pixels = np.stack([np.asarray(image) for image in images])
        labels = np.array([self.photos[index].label for index in chosen], dtype=np.int64)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels)


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
