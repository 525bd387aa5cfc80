"""Photos with boxes, as the networks see them: a rectangle of the photo, resampled, with the boxes in it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample


class Window(NamedTuple):
    """The rectangle of a photo, in its pixels, that becomes a whole input of `width` x `height`; mirrored or not.

    It may reach beyond the photo. A pixel's color is at its middle: the first one's at 0.5.
    """

    left: float
    top: float
    right: float
    bottom: float
    width: int
    height: int
    mirrored: bool = False

    @property
    def scale(self) -> np.ndarray:
        """Input pixels a photo pixel, across and down."""
        return np.array([self.width / (self.right - self.left), self.height / (self.bottom - self.top)])

    def boxes(self, corners: np.ndarray) -> np.ndarray:
        """Boxes (n, 4) as left, top, right, bottom in the photo's pixels, in those of the input."""
        moved = (corners.reshape(-1, 2, 2) - (self.left, self.top)) * self.scale
        if self.mirrored:
            moved[:, :, 0] = self.width - moved[:, ::-1, 0]
        return moved.reshape(-1, 4)

    def pixels(self, photo: np.ndarray, fill: tuple[int, int, int] = (0, 0, 0)) -> Tensor:
        """The photo, uint8 (height, width, 3), as input, uint8 (3, height, width), with `fill` where it does not reach.

        Bilinear without smoothing, as CenterNet's cv2.warpAffine and torchvision's SSD do it.
        """
        height, width, _ = photo.shape
        ground = torch.tensor(fill, dtype=torch.float32)[:, None, None]
        source = torch.from_numpy(np.ascontiguousarray(photo.transpose(2, 0, 1))).float() - ground
        x = _places(self.left, self.right, self.width, width)
        y = _places(self.top, self.bottom, self.height, height)
        grid = torch.stack(torch.meshgrid(x.flip(0) if self.mirrored else x, y, indexing="xy"), -1)
        sampled = grid_sample(source[None], grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]
        return (sampled + ground).round_().clamp_(0, 255).to(torch.uint8)


def _places(start: float, stop: float, count: int, side: int) -> Tensor:
    """Where the middles of `count` pixels from `start` to `stop` lie in a photo of `side`, as grid_sample counts: from
    -1 to 1. Within half a pixel of the border they take the border's color; beyond it they lie far away."""
    middles = start + (np.arange(count) + 0.5) * ((stop - start) / count)
    inside = (middles >= 0) & (middles <= side)
    places = 2 * middles.clip(0.5, side - 0.5) / side - 1
    return torch.from_numpy(np.where(inside, places, -9.0).astype(np.float32))


class Examples(NamedTuple):
    """Inputs of several photos and all their boxes."""

    pixels: Tensor
    """uint8 (n, 3, height, width)."""
    boxes: Tensor
    """float32 (m, 4): left, top, right, bottom in pixels of the input."""
    labels: Tensor
    """int64 (m,)."""
    owners: Tensor
    """int64 (m,): the place among the n photos of the one that a box is in, ascending."""


def stacked(parts: list[tuple[Tensor, np.ndarray, np.ndarray]]) -> Examples:
    """One `Examples` of several photos' pixels, boxes and labels."""
    pixels, boxes, labels = zip(*parts, strict=True)
    return Examples(
        torch.stack(pixels),
        torch.from_numpy(np.concatenate(boxes).astype(np.float32).reshape(-1, 4)),
        torch.from_numpy(np.concatenate(labels).astype(np.int64)),
        torch.from_numpy(np.repeat(np.arange(len(parts)), [len(one) for one in labels])),
    )


def as_corners(boxes: np.ndarray) -> np.ndarray:
    """Boxes (n, 4) given as left, top, width, height, as left, top, right, bottom."""
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
