"""ImageNet's mean and deviation, by which pictures are normalized."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(pixels: Tensor) -> Tensor:
    """Bytes (n, 3, h, w), or numbers from 0 to 1, to numbers with ImageNet's mean 0 and deviation 1 by channel."""
    mean, std = _statistics(pixels.device)
    values = pixels.clone() if pixels.is_floating_point() else pixels.float().div_(255)
    return values.sub_(mean).div_(std)


@functools.cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (MEAN, STD))
    return mean, std
