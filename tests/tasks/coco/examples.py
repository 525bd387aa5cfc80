"""Boxes at random, as the detectors' targets take them."""

from __future__ import annotations

import torch

from optathlon.tasks.coco.photos import Examples


def random_examples(seed: int, counts: tuple[int, ...], size: int, classes: int) -> Examples:
    """Inputs of `size` pixels with so many boxes each: anywhere, also beyond the border, small and empty ones."""
    random = torch.Generator().manual_seed(seed)
    total = sum(counts)
    corner = size * (1.3 * torch.rand(total, 2, generator=random) - 0.2)
    sides = size * torch.rand(total, 2, generator=random).square()
    sides[: total // 8] = 0
    return Examples(
        pixels=torch.zeros(len(counts), 3, size, size, dtype=torch.uint8),
        boxes=torch.cat([corner, corner + sides], 1),
        labels=torch.randint(classes, (total,), generator=random),
        owners=torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)),
    )
