"""From CenterNet's maps to boxes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import max_pool2d

from optathlon.tasks.coco.centernet.network import DOWN, Outputs

MOST = 100  # boxes an input


class Boxes(NamedTuple):
    """k boxes in each of n inputs, by falling score."""

    corners: Tensor
    """Left, top, right, bottom in pixels of the input (n, k, 4)."""
    scores: Tensor
    """From 0 to 1 (n, k)."""
    labels: Tensor
    """int64 (n, k)."""


def decode(outputs: Outputs, most: int = MOST) -> Boxes:
    """The `most` highest peaks of the heatmap over all classes, each with its size and offset; no further suppression.

    A peak is as high as all of its eight neighbors. Source: Zhou et al. 2019, section 3.1; CenterNet's decode.py.
    """
    heat = outputs.heatmap.sigmoid()
    height, width = heat.shape[2:]
    peaks = heat * (max_pool2d(heat, 3, stride=1, padding=1) == heat)
    scores, best = peaks.flatten(1).topk(min(most, peaks[0].numel()))
    labels, places = best // (height * width), best % (height * width)
    chosen = places[:, None].expand(-1, 2, -1)
    sizes, offsets = (maps.flatten(2).gather(2, chosen).mT for maps in (outputs.sizes, outputs.offsets))
    centers = torch.stack([places % width, places // width], dim=2) + offsets
    return Boxes(DOWN * torch.cat([centers - sizes / 2, centers + sizes / 2], dim=2), scores, labels)
