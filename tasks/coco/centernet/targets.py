"""What CenterNet is trained to say: a Gaussian around each center, a size and an offset at each."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from optathlon.tasks.coco.centernet.network import DOWN
from optathlon.tasks.coco.photos import Examples

OVERLAP = 0.7  # with the object, that a box must keep whose corners are off by the radius


class Targets(NamedTuple):
    """For n inputs with k objects of some size in them."""

    heatmap: Tensor
    """(n, classes, height, width), 1 at centers."""
    owners: Tensor
    """int64 (k,): which of the inputs an object is in."""
    places: Tensor
    """int64 (k,): its center as y * width + x."""
    sizes: Tensor
    """Width and height in places (k, 2)."""
    offsets: Tensor
    """Of the center from its place's corner, in places (k, 2)."""
    peaks: Tensor
    """int64 (m,): where the flattened heatmap is 1, in order, each place once."""


def targets(examples: Examples, classes: int) -> Targets:
    """The targets of `examples`, on the device of its pixels.

    The boxes may lie on the host, as they come: what depends on their number then waits for no device. They are clipped
    to the map's first and last place, and left out if nothing remains; centers are rounded down, and where Gaussians of
    one class meet the larger value counts. Source: CenterNet's ctdet.py and image.py.
    """
    count, _, height, width = examples.pixels.shape
    height, width = height // DOWN, width // DOWN
    boxes = examples.boxes / DOWN
    boxes = torch.stack([boxes[:, i].clamp(0, (width, height)[i % 2] - 1) for i in range(4)], dim=1)
    sizes = boxes[:, 2:] - boxes[:, :2]
    kept = (sizes > 0).all(1)
    boxes, sizes, owners, labels = boxes[kept], sizes[kept], examples.owners[kept], examples.labels[kept]
    centers = (boxes[:, :2] + boxes[:, 2:]) / 2
    corners = centers.long()
    heatmap = boxes.new_zeros(count * classes, height, width, device=examples.pixels.device)
    maps, places = owners * classes + labels, corners[:, 1] * width + corners[:, 0]
    draw_gaussians(heatmap, maps, corners, radii(sizes))
    of_objects = (owners, places, sizes, centers - corners, torch.unique(maps * (height * width) + places))
    heatmap = heatmap.view(count, classes, height, width)
    return Targets(heatmap, *(part.to(heatmap.device, non_blocking=True) for part in of_objects))


def radii(sizes: Tensor) -> Tensor:
    """By how many places the corners of boxes (k, 2: width, height) may be off at most, int64 (k,).

    The smallest of CornerNet's three cases at IoU 0.7, of sizes rounded up, as CornerNet first had it: each root is
    divided by 2, not by 2a (Law & Deng 2018, section 3.2; CenterNet's image.py).
    """
    width, height = sizes.double().ceil().unbind(1)
    around, area = width + height, width * height
    cases = [
        (1.0, around, area * (1 - OVERLAP) / (1 + OVERLAP)),
        (4.0, 2 * around, area * (1 - OVERLAP)),
        (4 * OVERLAP, -2 * OVERLAP * around, -area * (1 - OVERLAP)),
    ]
    roots = [(b + (b.square() - 4 * a * c).sqrt()) / 2 for a, b, c in cases]
    return torch.stack(roots).amin(0).long().clamp(min=0)


def draw_gaussians(maps: Tensor, which: Tensor, centers: Tensor, radius: Tensor) -> None:
    """Raise `maps` (m, height, width) to a Gaussian around each of the k centers, within its square of 2 * radius + 1.

    which: the map of each (k,); centers: x, y (k, 2); sigma is a sixth of the square's side. All squares' points are
    computed in one go: a list of their lengths tells which point is of which square. No device is waited for where
    `radius` lies on the host.
    """
    _, height, width = maps.shape
    count = int((2 * radius + 1).square().sum())
    which, centers, radius = (t.to(maps.device, non_blocking=True) for t in (which, centers, radius))
    side = 2 * radius + 1
    points = side.square()
    order = torch.arange(len(side), device=maps.device)
    square = torch.repeat_interleave(order, points, output_size=count)
    within = torch.arange(len(square), device=maps.device) - (points.cumsum(0) - points)[square]
    dy, dx = within // side[square] - radius[square], within % side[square] - radius[square]
    x, y = centers[square, 0] + dx, centers[square, 1] + dy
    values = torch.exp(-(dx.square() + dy.square()) / (2 * (side[square] / 6).square())).to(maps.dtype)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    flat = (which[square] * height + y) * width + x
    # What is outside raises some place to 0, which none is below: to leave it out, its number would have to be known.
    maps.view(-1).scatter_reduce_(0, flat.where(inside, 0), values.where(inside, 0.0), "amax")
