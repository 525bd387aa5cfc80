"""The two losses of the retrieval tasks: semi-hard triplets, and Proxy-Anchor."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import linear

TINY = 1e-12


def unit(rows: Tensor) -> Tensor:
    """`rows` (n, d) scaled to length 1, with 1e-12 inside the root (Proxy-Anchor, net/resnet.py)."""
    return rows / (rows.square().sum(1, keepdim=True) + TINY).sqrt()


def semihard_triplets(embeddings: Tensor, labels: Tensor, margin: float) -> Tensor:
    """The mean of d(a, p) - d(a, n) + margin over all triplets in the batch for which it lies in (0, margin).

    embeddings: (n, d) of length 1, labels: (n,); d is the Euclidean distance. Anchor and positive are any two of one
    class, in both orders; the negative is farther than the positive by less than the margin. A batch without such
    triplets gives a zero with a graph. Source: pytorch-metric-learning's TripletMarginMiner("semihard") and
    TripletMarginLoss, as Proxy-Anchor's losses.py puts them together.
    """
    distances = torch.cdist(embeddings, embeddings, compute_mode="donot_use_mm_for_euclid_dist")
    same = labels[:, None] == labels
    anchor, positive = (same & ~torch.eye(len(labels), dtype=torch.bool, device=labels.device)).nonzero(as_tuple=True)
    farther = distances[anchor] - distances[anchor, positive][:, None]  # (pairs, n)
    losses = margin - farther[~same[anchor] & (farther > 0) & (farther < margin)]
    return losses.mean() if len(losses) else embeddings.sum() * 0.0


def proxy_anchor(embeddings: Tensor, labels: Tensor, proxies: Tensor, margin: float, alpha: float) -> Tensor:
    """Proxy-Anchor: each class's proxy pulls its embeddings and pushes the others', the harder the nearer they are.

    embeddings: (n, d) of length 1, labels: (n,) below c, proxies: (c, d) of any length. Source: Kim et al. 2020,
    equation 4, and losses.py: the pulling term is a mean over the proxies with a positive in the batch, the pushing
    term over all.
    """
    cosine = linear(embeddings, unit(proxies))
    is_own = labels[:, None] == torch.arange(len(proxies), device=labels.device)
    pull = _log_one_plus_sum((-alpha * (cosine - margin)).masked_fill(~is_own, -torch.inf))
    push = _log_one_plus_sum((alpha * (cosine + margin)).masked_fill(is_own, -torch.inf))
    return pull.sum() / is_own.any(0).sum() + push.mean()


def _log_one_plus_sum(exponents: Tensor) -> Tensor:
    """log(1 + sum of exp) of each column."""
    return torch.cat([exponents.new_zeros(1, exponents.shape[1]), exponents]).logsumexp(0)
