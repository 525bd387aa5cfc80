"""CutMix and mixup: each picture of a batch with a part, or a share, of another's, and of its label as well."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class Mix(NamedTuple):
    """How a micro-batch is mixed: one way for all its pictures."""

    share: float
    """Of the picture itself, and so of its own label."""
    partner: Tensor
    """(n,): whose picture and label are the other's."""
    box: tuple[int, int, int, int] | None
    """Top, left, bottom, right of what is the other's; None if the two are blended."""


def draw_cutmix(
    count: int, side: int, alpha: float, of_box: np.random.Generator, of_partners: np.random.Generator
) -> Mix:
    """A box whose share of the area is Beta(alpha, alpha), around a uniform center, cut off at the borders.

    The share is then exactly that of the pixels which stay. All micro-batches of a batch have one box, if `of_box` is
    theirs. Source: Yun et al. 2019; clovaai/CutMix-PyTorch, train.py.
    """
    cut = int(side * np.sqrt(1.0 - of_box.beta(alpha, alpha)))
    row, column = (int(of_box.integers(side)) for _ in range(2))
    partner = torch.from_numpy(of_partners.permutation(count))
    top, bottom = (min(max(row + half, 0), side) for half in (-(cut // 2), cut // 2))
    left, right = (min(max(column + half, 0), side) for half in (-(cut // 2), cut // 2))
    share = 1.0 - (bottom - top) * (right - left) / side**2
    return Mix(share, partner, (top, left, bottom, right))


def draw_mixup(count: int, alpha: float, random: np.random.Generator) -> Mix:
    """A share from Beta(alpha, alpha), and as partners the batch in reverse. Source: Zhang et al. 2018; timm.mixup."""
    return Mix(float(random.beta(alpha, alpha)), torch.arange(count).flip(0), None)


def mix(images: Tensor, mixed: Mix) -> Tensor:
    """The pictures (n, 3, h, w) mixed."""
    others = images[mixed.partner.to(images.device, non_blocking=True)]
    if mixed.box is None:
        return mixed.share * images + (1.0 - mixed.share) * others
    top, left, bottom, right = mixed.box
    images = images.clone()
    images[:, :, top:bottom, left:right] = others[:, :, top:bottom, left:right]
    return images
