"""Random erasing: a rectangle of a picture becomes noise (Zhong et al., 2017; timm's `pixel` mode)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

LEAST, MOST = 0.02, 1 / 3  # of the area
NARROWEST, WIDEST = 0.3, 1 / 0.3
TRIES = 10


def draw_rectangle(side: int, probability: float, random: np.random.Generator) -> tuple[int, int, int, int]:
    """Top, left, height and width of what is erased of a square picture; all 0 if nothing is."""
    if random.random() <= probability:
        for _ in range(TRIES):
            area = side * side * random.uniform(LEAST, MOST)
            ratio = math.exp(random.uniform(math.log(NARROWEST), math.log(WIDEST)))
            high, wide = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
            if high < side and wide < side:
                return int(random.integers(side - high + 1)), int(random.integers(side - wide + 1)), high, wide
    return 0, 0, 0, 0


def erase(images: Tensor, rectangles: Tensor) -> Tensor:
    """Normalized pictures (n, 3, h, w) with standard normal noise in their rectangles (n, 4) of top, left, height and
    width, drawn from torch's generator of that device."""
    top, left, high, wide = rectangles.to(images.device, non_blocking=True).T[:, :, None, None, None]
    rows = torch.arange(images.shape[2], device=images.device)[:, None]
    columns = torch.arange(images.shape[3], device=images.device)
    inside = (rows >= top) & (rows < top + high) & (columns >= left) & (columns < left + wide)
    noise = torch.randn(images.shape, dtype=images.dtype, device=images.device)  # the same in every memory format
    return torch.where(inside, noise, images)
