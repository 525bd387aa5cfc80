"""Tuning-budget curves: how good the best of k trials is expected to be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal


def expected_best(
    scores: Sequence[float], k: int, higher_is_better: bool = True, estimator: Literal["tang", "dodge"] = "tang"
) -> float:
    """The expected best of `k` trials drawn at random, estimated from all `scores` of trials.

    tang: unbiased, k of them without replacement (Tang et al. 2020, eq. 3). dodge: with replacement, too low where k
    is near their number (Dodge et al. 2019, eq. 3). It is of random search only where the trials are; over a grid it is
    the best of k settings in random order. ValueError unless 1 <= k <= len(scores), or if a score is not finite.
    """
    if not 1 <= k <= len(scores):
        raise ValueError(f"{k} of {len(scores)} trials: nothing is extrapolated")
    if not all(map(math.isfinite, scores)):
        raise ValueError("scores must be finite: give a diverged trial the task's chance level")
    ordered = sorted(scores, reverse=not higher_is_better)
    count = len(ordered)
    if estimator == "tang":
        weights = [math.comb(i, k - 1) / math.comb(count, k) for i in range(count)]
    else:
        weights = [((i + 1) / count) ** k - (i / count) ** k for i in range(count)]
    return math.fsum(w * x for w, x in zip(weights, ordered, strict=True))


def budget_curve(
    scores: Sequence[float], higher_is_better: bool = True, estimator: Literal["tang", "dodge"] = "tang"
) -> list[float]:
    """`expected_best` of 1 to len(scores) trials."""
    return [expected_best(scores, k, higher_is_better, estimator) for k in range(1, len(scores) + 1)]


def tunability(curve: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The weighted mean of a budget curve (Sivaprasad et al. 2020, ω-tunability).

    weights: one a budget; the default falls linearly from the first trial, T, T - 1, ..., 1. ValueError if they are not
    as many as the curve has points, or sum to 0.
    """
    used = list(range(len(curve), 0, -1)) if weights is None else weights
    if len(used) != len(curve) or not math.fsum(used) > 0:
        raise ValueError(f"{len(used)} weights for {len(curve)} points: give one each, with a positive sum")
    return math.fsum(w * value for w, value in zip(used, curve, strict=True)) / math.fsum(used)
