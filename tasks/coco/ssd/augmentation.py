"""How SSD sees photos: recolored, zoomed out, cut and mirrored at random in training, whole otherwise."""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from optathlon.tasks.coco.photos import Window
from optathlon.tasks.images.transforms import MEAN

FILL = (round(255 * MEAN[0]), round(255 * MEAN[1]), round(255 * MEAN[2]))
"""What lies around a photo that is zoomed out: the mean color, which normalization makes 0."""
ZOOMED_OUT, FARTHEST, MIRRORED = 0.5, 4.0, 0.5
LEAST_OVERLAPS = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, None)
"""What a cut's IoU with some box must be at least, one of these at random; None for no cut."""
TRIALS, SMALLEST, NARROWEST, WIDEST = 40, 0.3, 0.5, 2.0
LEAST_SIDE = 1.0
"""Pixels of the photo that must be left of a box across and down; of a box without a side no logarithm is finite."""


class View(NamedTuple):
    """The window of a photo that is shown, and which of its n boxes have their middle and a pixel there, bool (n,)."""

    window: Window
    kept: np.ndarray


def random_view(width: int, height: int, corners: np.ndarray, size: int, random: np.random.Generator) -> View:
    """Zoomed out by up to 4 half the time, cut, squeezed into a square of `size`, mirrored half the time.

    corners: the photo's boxes as left, top, right, bottom in pixels (n, 4). All steps are one window, so that pixels
    are resampled once. Source: Liu et al. 2016, sections 2.2 and 3.6; torchvision's references/detection.
    """
    left = top = 0
    if random.random() < ZOOMED_OUT:
        ratio = random.uniform(1.0, FARTHEST)
        wide, high = int(width * ratio), int(height * ratio)
        left, top = int((wide - width) * random.random()), int((high - height) * random.random())
        width, height = wide, high
    cut = random_cut(width, height, corners + np.tile([left, top], 2), random)
    begin, end = cut[:2] - (left, top), cut[2:] - (left, top)
    middles = (corners[:, :2] + corners[:, 2:]) / 2
    left, top, right, bottom = (int(v) for v in (*begin, *end))
    is_shown = ((middles > begin) & (middles < end)).all(1) | (cut == (0, 0, width, height)).all()
    shown = corners.clip(np.tile(begin, 2), np.tile(end, 2))
    is_shown &= (shown[:, 2:] - shown[:, :2] >= LEAST_SIDE).all(1)
    return View(Window(left, top, right, bottom, size, size, mirrored=bool(random.random() < MIRRORED)), is_shown)


def random_cut(width: int, height: int, corners: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """A part of a photo, as left, top, right, bottom (4,), that has the middle of a box and enough IoU with such a one.

    How much is enough is drawn first; if none of 40 random parts does, it is drawn again. As torchvision's
    v2.RandomIoUCrop, with its numbers, but all 40 are tried at once.
    """
    while True:
        enough = LEAST_OVERLAPS[random.integers(len(LEAST_OVERLAPS))]
        if enough is None:
            return np.array([0, 0, width, height])
        sides = (random.uniform(SMALLEST, 1.0, (TRIALS, 2)) * (width, height)).astype(np.int64)
        begins = (((width, height) - sides) * random.random((TRIALS, 2))).astype(np.int64)
        cuts = np.concatenate([begins, begins + sides], axis=1)
        good = (sides >= 1).all(1) & (sides[:, 0] >= NARROWEST * sides[:, 1]) & (sides[:, 0] <= WIDEST * sides[:, 1])
        good &= (_overlaps_within(cuts, corners) >= enough).any(1)
        if good.any():
            return cuts[good.argmax()]


def _overlaps_within(cuts: np.ndarray, corners: np.ndarray) -> np.ndarray:
    """IoU of each cut (t, 4) with each box (n, 4), but -1 where the box's middle is not in the cut: (t, n)."""
    cuts = cuts[:, None]
    middles = (corners[:, :2] + corners[:, 2:]) / 2
    within = ((middles > cuts[..., :2]) & (middles < cuts[..., 2:])).all(2)
    shared = np.minimum(cuts[..., 2:], corners[:, 2:]) - np.maximum(cuts[..., :2], corners[:, :2])
    both = shared.clip(min=0).prod(2)
    either = (cuts[..., 2:] - cuts[..., :2]).prod(2) + (corners[:, 2:] - corners[:, :2]).prod(1) - both
    return np.where(within, both / np.maximum(either, np.finfo(np.float64).tiny), -1.0)


@functools.cache
def _distortion() -> v2.RandomPhotometricDistort:
    return v2.RandomPhotometricDistort()


def recolored(photo: Image.Image, seed: int) -> Image.Image:
    """The photo with brightness, contrast, saturation, hue and channels changed, as torchvision does it.

    It draws from torch's generator: here from `seed`, and afterwards that is as it was before.
    """
    before = torch.get_rng_state()
    torch.default_generator.manual_seed(seed)
    try:
        return _distortion()(photo)
    finally:
        torch.set_rng_state(before)


def whole_window(width: int, height: int, size: int) -> Window:
    """The whole photo, squeezed into a square input."""
    return Window(0, 0, width, height, size, size)
