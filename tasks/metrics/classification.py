"""Accuracies and cross-entropy of classifiers, over a whole split."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from optathlon.tasks.evaluation import Totals


class ClassificationScores(NamedTuple):
    """How well a classifier does on a split."""

    accuracies: dict[int, float]
    """Percent of samples whose label is among the k likeliest classes, by k."""
    loss: float
    """Mean cross-entropy in nats."""


def correct(logits: Tensor, labels: Tensor, k: int = 1) -> Tensor:
    """How many of `logits` (n, classes) have their label, of `labels` (n,), among the `k` highest; a scalar, int64.

    Equal logits rank in the order of the classes, so that a network which gives all classes the same is as good as
    chance. A row with a NaN is never correct.
    """
    label_logits = logits.gather(1, labels[:, None])
    earlier = torch.arange(logits.shape[1], device=logits.device) < labels[:, None]
    ranks = ((logits > label_logits) | ((logits == label_logits) & earlier)).sum(1)
    return ((ranks < k) & ~logits.isnan().any(1)).sum()


def classification_scores(
    outputs: Iterable[tuple[Tensor, Tensor]], device: torch.device, ks: Sequence[int] = (1,)
) -> ClassificationScores:
    """The scores over a split whose batches `outputs` gives, as logits (n, classes) and labels (n,) on `device`.

    The cross-entropy is taken in single precision, also of logits in half.
    """
    totals = Totals(device)
    for logits, labels in outputs:
        hits = {f"top{k}": correct(logits, labels, k) for k in ks}
        totals.add(len(labels), loss=cross_entropy(logits.float(), labels, reduction="sum"), **hits)
    means = totals.means()
    return ClassificationScores({k: 100.0 * means[f"top{k}"] for k in ks}, means["loss"])
