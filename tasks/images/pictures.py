"""Photos as the network sees them: cut at random in training, in the middle otherwise."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from optathlon.tasks.images.crops import center_crop, open_random_crop, random_crop
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.photos import Photo
from optathlon.tasks.images.rand_augment import RandAugment
from optathlon.tasks.randomness import generator


class Cuts(NamedTuple):
    """How photos are cut to squares: in training at random and mirrored half the time, in evaluation in the middle."""

    resize: int
    """Pixels to which an evaluated photo's shorter side is resized before its middle is cut out."""
    crop: int
    """Side of the square in pixels."""
    smallest_crop: float
    """The least share of a photo's area that a training cut shows."""
    interpolation: str = "bilinear"
    """How evaluated photos are resized."""
    training_interpolation: str = "bilinear"
    """How training cuts are resized."""
    draft: bool = False
    """Whether a photo is decoded no larger than needed in the end, which changes pixels by their noise."""
    policy: RandAugment | None = None
    """What changes training cuts after they are mirrored."""


class Pictures(NamedTuple):
    """Photos with labels, how they are cut, and the seed of the random cuts."""

    photos: Sequence[Photo]
    cuts: Cuts
    seed: int

    def training(self, job: tuple[int, np.ndarray]) -> tuple[Tensor, Tensor]:
        """Bytes (n, 3, crop, crop), lying channels last, and labels (n,) of the photos at `job[1]`, cut and mirrored
        as in epoch `job[0]`."""
        epoch, chosen = job
        return self._stacked(chosen, (self._cut(int(index), epoch) for index in chosen))

    def evaluation(self, chosen: np.ndarray) -> tuple[Tensor, Tensor]:
        """As `training`, of the middles of the photos at `chosen`."""
        return self._stacked(chosen, map(self._middle, chosen))

    def _cut(self, index: int, epoch: int) -> Image.Image:
        cuts, path = self.cuts, self.photos[index].path
        random = generator(self.seed, "crop", epoch, index)
        arguments = (cuts.crop, cuts.smallest_crop, random, cuts.training_interpolation)
        image = open_random_crop(path, *arguments) if cuts.draft else random_crop(open_photo(path), *arguments)
        return cuts.policy(image, random) if cuts.policy else image

    def _middle(self, index: int) -> Image.Image:
        cuts = self.cuts
        image = open_photo(self.photos[index].path, (cuts.resize, cuts.resize) if cuts.draft else None)
        return center_crop(image, cuts.resize, cuts.crop, cuts.interpolation)

    def _stacked(self, chosen: np.ndarray, images: Iterable[Image.Image]) -> tuple[Tensor, Tensor]:
        side = self.cuts.crop
        pixels = np.empty((len(chosen), side, side, 3), dtype=np.uint8)
        for place, image in enumerate(images):
            pixels[place] = np.asarray(image)
        labels = np.array([self.photos[index].label for index in chosen], dtype=np.int64)
        return torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(labels)
