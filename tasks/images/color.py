"""Color jitter and PCA lighting, drawn per sample where pictures are read and applied to the batch on its device.

As clovaai/CutMix-PyTorch (utils.py) trains ImageNet, on numbers from 0 to 1 that are not clamped.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

GRAY = (0.299, 0.587, 0.114)
EIGENVALUES = (0.2175, 0.0188, 0.0045)
EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))
"""Of the covariance of ImageNet's RGB values, a column each (Krizhevsky et al. 2012; fb.resnet.torch)."""

BRIGHTNESS, CONTRAST, SATURATION = range(3)


class Colors(NamedTuple):
    """How the colors of n pictures change."""

    shares: Tensor
    """(n, 3): how far each is blended into black, its mean gray, its grays."""
    order: Tensor
    """(n, 3): which of the three comes first, second, third."""
    light: Tensor
    """(n, 3): what is added to each channel."""


def draw_colors(jitter: float, lighting: float, randoms: list[np.random.Generator]) -> Colors:
    """Shares uniform in ±`jitter`, a random order, and weights of deviation `lighting` on the eigenvectors, per sample
    from its own generator."""
    shares = np.stack([random.uniform(-jitter, jitter, 3) for random in randoms])
    order = np.stack([random.permutation(3) for random in randoms])
    weights = np.stack([random.normal(0.0, 1.0, 3) for random in randoms]) * lighting
    light = weights * EIGENVALUES @ np.transpose(EIGENVECTORS)
    return Colors(torch.from_numpy(shares).float(), torch.from_numpy(order), torch.from_numpy(light).float())


def recolor(pixels: Tensor, colors: Colors) -> Tensor:
    """Pictures (n, 3, h, w) of numbers from 0 to 1 with their colors changed."""
    shares, order, light = (part.to(pixels.device, non_blocking=True) for part in colors)
    for step in range(3):
        kind = order[:, step]
        target = _target(pixels, kind[:, None, None, None])
        share = shares.gather(1, kind[:, None])[:, :, None, None]
        pixels = pixels + share * (target - pixels)
    return pixels + light[:, :, None, None]


def _target(pixels: Tensor, kind: Tensor) -> Tensor:
    """What each picture is blended with: black, its mean gray, or its grays."""
    weights = torch.tensor(GRAY, device=pixels.device)[:, None, None]
    grays = (pixels * weights).sum(1, keepdim=True)
    mean = grays.mean((2, 3), keepdim=True)
    return torch.where(kind == BRIGHTNESS, 0.0, torch.where(kind == CONTRAST, mean, grays))
