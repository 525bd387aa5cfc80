"""SSD's prior boxes, what each is trained to find, and boxes as corrections of them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from optathlon.tasks.coco.settings import Grid, Layout

CENTER_VARIANCE, SIZE_VARIANCE = 0.1, 0.2
BACKGROUND = -1  # of no object


def priors(layout: Layout, size: int) -> Tensor:
    """All prior boxes of an input of `size` pixels, as left, top, right, bottom in shares of its side (p, 4).

    In the order of the feature maps, rows, columns, boxes of a cell. None is wider or higher than the input, but those
    at its border reach beyond it. Source: Liu et al. 2016, section 2.2; torchvision's DefaultBoxGenerator.
    """
    return torch.cat([_grid(grid, size) for grid in layout.grids])


def _grid(grid: Grid, size: int) -> Tensor:
    middles = (torch.arange(grid.cells, dtype=torch.float64) + 0.5) * grid.step / size
    y, x = torch.meshgrid(middles, middles, indexing="ij")
    centers = torch.stack([x, y], dim=2).reshape(-1, 1, 2)
    half = torch.tensor(_shapes(grid), dtype=torch.float64).clamp(max=1) / 2
    return torch.cat([centers - half, centers + half], dim=2).reshape(-1, 4).float()


def _shapes(grid: Grid) -> list[tuple[float, float]]:
    """Width and height of a cell's boxes: two squares, then each aspect ratio lying and standing."""
    scale, between = grid.scale, math.sqrt(grid.scale * grid.next_scale)
    shapes = [(scale, scale), (between, between)]
    for ratio in grid.ratios:
        long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
        shapes += [(long, short), (short, long)]
    return shapes


def match(priors: Tensor, boxes: Tensor, owners: Tensor, count: int, overlap: float) -> Tensor:
    """For each of `count` inputs and each prior which of the m boxes it is to find, or BACKGROUND: int64 (count, p).

    The one with the largest IoU, if that is `overlap` or more, the first of equals; and each box is found by the prior
    nearest to it, whatever their IoU; a prior nearest to several finds the last of them. boxes: (m, 4) as the priors,
    owners: (m,) of which input each is. Source: Liu et al. 2016, section 2.2; torchvision's SSDMatcher.

    No loop over inputs: of the m x p overlaps few are large enough, and these alone are sorted out by input.
    """
    number, width = len(boxes), len(priors)
    matched = torch.full((count * width,), BACKGROUND, dtype=torch.int64, device=priors.device)
    if not number:
        return matched.view(count, width)
    overlaps = iou(boxes, priors)
    box, prior = (overlaps >= overlap).nonzero(as_tuple=True)
    cell, value = owners[box] * width + prior, overlaps[box, prior]
    best = value.new_zeros(count * width).scatter_reduce_(0, cell, value, "amax")
    first = torch.full_like(matched, number).scatter_reduce_(
        0, cell[value == best[cell]], box[value == best[cell]], "amin"
    )
    matched = torch.where(first < number, first, matched)
    nearest = owners * width + overlaps.argmax(1)
    forced = torch.full_like(matched, BACKGROUND)
    forced.scatter_reduce_(0, nearest, torch.arange(number, device=priors.device), "amax")
    return torch.where(forced > BACKGROUND, forced, matched).view(count, width)


def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of each of the boxes (m, 4) with each of the others (p, 4), (m, p); empty ones have 0."""
    left, top, right, bottom = boxes[:, :, None].unbind(1)
    width = torch.minimum(right, others[:, 2]).sub_(torch.maximum(left, others[:, 0])).clamp_(min=0)
    height = torch.minimum(bottom, others[:, 3]).sub_(torch.maximum(top, others[:, 1])).clamp_(min=0)
    both = width.mul_(height)
    either = (right - left) * (bottom - top) + (others[:, 2] - others[:, 0]) * (others[:, 3] - others[:, 1])
    return both.div_((either.sub_(both)).clamp_(min=torch.finfo(both.dtype).tiny))


def encode(boxes: Tensor, priors: Tensor) -> Tensor:
    """Boxes as corrections of their priors (both n, 4): of the center in sides of the prior, of the sides in
    logarithms, divided by the variances 0.1 and 0.2."""
    center, side = _centers_and_sides(boxes)
    prior_center, prior_side = _centers_and_sides(priors)
    shift, growth = (center - prior_center) / prior_side, (side / prior_side).log()
    return torch.cat([shift / CENTER_VARIANCE, growth / SIZE_VARIANCE], dim=1)


MOST_GROWTH = math.log(1000 / 16)  # exp of it is finite; as torchvision


def decode(corrections: Tensor, priors: Tensor) -> Tensor:
    """The boxes (..., p, 4) that `corrections` (..., p, 4) make of the priors (p, 4)."""
    prior_center, prior_side = _centers_and_sides(priors)
    center = prior_center + corrections[..., :2] * CENTER_VARIANCE * prior_side
    half = (corrections[..., 2:] * SIZE_VARIANCE).clamp(max=MOST_GROWTH).exp() * prior_side / 2
    return torch.cat([center - half, center + half], dim=-1)


def _centers_and_sides(corners: Tensor) -> tuple[Tensor, Tensor]:
    return (corners[:, :2] + corners[:, 2:]) / 2, corners[:, 2:] - corners[:, :2]
