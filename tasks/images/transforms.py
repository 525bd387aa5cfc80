"""ImageNet's mean and deviation, by which pictures are normalized."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def normalize(pixels: Tensor, memory_format: torch.memory_format = torch.contiguous_format) -> Tensor:
    """Bytes (n, 3, h, w), or numbers from 0 to 1, to numbers with ImageNet's mean 0 and deviation 1 by channel."""
    values = pixels.to(torch.float32, memory_format=memory_format, copy=True)
    if not pixels.is_floating_point():
        values.div_(255)
    mean, std = _statistics(pixels.device)
    if memory_format != torch.channels_last:
        return values.sub_(mean[:, None, None]).div_(std[:, None, None])
    width = pixels.shape[3]
    rows = values.permute(0, 2, 3, 1).view(-1, 3 * width)  # whole rows, as a loop over three channels each is slow
    rows.sub_(mean.repeat(width)).div_(std.repeat(width))
    return values


@functools.cache
def _statistics(device: torch.device) -> tuple[Tensor, Tensor]:
    mean, std = (torch.tensor(values, device=device) for values in (MEAN, STD))
    return mean, std
