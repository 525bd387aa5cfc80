"""The probability of improvement: how often a run of one optimizer beats a run of another."""

from __future__ import annotations

import math
from collections.abc import Sequence


def probability_of_improvement(
    a: Sequence[Sequence[float]], b: Sequence[Sequence[float]], higher_is_better: Sequence[bool]
) -> float:
    """Mean over tasks of P(a run of `a` beats one of `b`), ties counting one half (Agarwal et al. 2021).

    a, b: for each task the scores of its runs. ValueError if a task has none.
    """
    shares = [_share(xs, ys, 1.0 if higher else -1.0) for xs, ys, higher in zip(a, b, higher_is_better, strict=True)]
    if not shares:
        raise ValueError("no task")
    return math.fsum(shares) / len(shares)


def _share(a: Sequence[float], b: Sequence[float], sign: float) -> float:
    """Mann–Whitney's U over the number of pairs."""
    if not a or not b:
        raise ValueError("every task needs a run of both")
    wins = sum((sign * x > sign * y) + 0.5 * (x == y) for x in a for y in b)
    return wins / (len(a) * len(b))
