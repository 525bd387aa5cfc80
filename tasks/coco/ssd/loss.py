"""SSD's loss: cross-entropy of priors that find something and of the hardest others, and smoothed absolute errors."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, smooth_l1_loss

from optathlon.tasks.coco.ssd.network import Outputs
from optathlon.tasks.coco.ssd.priors import BACKGROUND, encode

NOTHING = 0  # the background's place among the logits


def ssd_loss(
    outputs: Outputs, matched: Tensor, priors: Tensor, boxes: Tensor, labels: Tensor, negatives: float
) -> Tensor:
    """The loss of a batch, over the number of priors that find something, or 1.

    matched: int64 (n, p), which of the m boxes (m, 4) with labels (m,) a prior finds, as `match` gives it. In each
    input `negatives` times as many priors of the background count as others, those with the largest loss. Source: Liu
    et al. 2016, equation 1 and section 2.2; torchvision's SSD.compute_loss.
    """
    positive = matched > BACKGROUND
    box = matched[positive]
    wanted = encode(boxes[box], priors.expand(*matched.shape, 4)[positive])
    place = smooth_l1_loss(outputs.corrections[positive], wanted, reduction="sum")
    hard = hardest(outputs.logits.detach(), positive, negatives)
    kinds = torch.cat([labels[box] + 1, labels.new_full((int(hard.sum()),), NOTHING)])
    # The many easy negatives are ranked without a graph, so backward passes through the chosen few alone.
    logits = torch.cat([outputs.logits[positive], outputs.logits[hard]])
    return (place + cross_entropy(logits, kinds, reduction="sum")) / max(1, len(box))


@torch.no_grad()
def hardest(logits: Tensor, positive: Tensor, negatives: float) -> Tensor:
    """Which priors of the background count: in each row `negatives` times as many as are positive, those that take the
    background for the least likely; of equals the first. bool (n, p), of logits (n, p, 1 + classes)."""
    losses = (logits.logsumexp(2) - logits[:, :, NOTHING]).masked_fill(positive, -torch.inf)
    many = (negatives * positive.sum(1)).long().clamp(max=(~positive).sum(1))
    order = losses.sort(dim=1, descending=True, stable=True).indices
    first = torch.arange(losses.shape[1], device=losses.device) < many[:, None]
    return torch.zeros_like(positive).scatter_(1, order, first)
