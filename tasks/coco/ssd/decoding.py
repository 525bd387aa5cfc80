"""From SSD's outputs to boxes."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor
from torchvision.ops import batched_nms

from optathlon.tasks.coco.ssd import priors as prior_boxes
from optathlon.tasks.coco.ssd.network import Outputs

LEAST_SCORE = 0.01
PER_CLASS = 400  # the best boxes of each class that are compared with each other
SAME = 0.45  # IoU above which the lower one of two boxes of a class is dropped
MOST = 200  # boxes an input


class Boxes(NamedTuple):
    """The boxes in one input, by falling score."""

    corners: Tensor
    """Left, top, right, bottom in shares of the input's side, within it (k, 4)."""
    scores: Tensor
    """From 0 to 1 (k,)."""
    labels: Tensor
    """int64 (k,)."""


def decode(outputs: Outputs, priors: Tensor) -> list[Boxes]:
    """The boxes of each input after non-maximum suppression within each class.

    Source: Liu et al. 2016, section 3.7; torchvision's SSD.postprocess_detections, whose numbers these are.
    """
    scores = outputs.logits.softmax(2)[:, :, 1:]
    corners = prior_boxes.decode(outputs.corrections, priors).clamp(0, 1)
    return [_suppressed(*both) for both in zip(scores, corners, strict=True)]


def _suppressed(scores: Tensor, corners: Tensor) -> Boxes:
    """scores: (p, classes), corners: (p, 4)."""
    best, place = scores.topk(min(PER_CLASS, len(scores)), dim=0)
    rank, label = (best > LEAST_SCORE).nonzero(as_tuple=True)
    kept, boxes = best[rank, label], corners[place[rank, label]]
    chosen = batched_nms(boxes, kept, label, SAME)[:MOST]
    return Boxes(boxes[chosen], kept[chosen], label[chosen])
