"""Photos as the network sees them: cut at random in training, in the middle otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.photos import Photo
from optathlon.tasks.images.transforms import center_crop, random_crop
from optathlon.tasks.randomness import generator


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
