"""Mean, sample deviation and ranks of plain numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence


def mean(values: Sequence[float]) -> float | None:
    """The mean, whatever the order; None of nothing."""
    return math.fsum(values) / len(values) if values else None


def deviation(values: Sequence[float]) -> float | None:
    """The sample standard deviation (ddof = 1); None of fewer than two."""
    center = mean(values)
    if center is None or len(values) < 2:
        return None
    return math.sqrt(math.fsum((v - center) ** 2 for v in values) / (len(values) - 1))


def ranks(keys: Sequence[tuple]) -> list[float]:
    """Ranks from 1 for the smallest key; equal keys share the mean of their ranks."""
    order = sorted(range(len(keys)), key=lambda i: keys[i])
    shared = [0.0] * len(keys)
    start = 0
    while start < len(order):
        end = start
        while end < len(order) and keys[order[end]] == keys[order[start]]:
            end += 1
        for i in order[start:end]:
            shared[i] = (start + 1 + end) / 2
        start = end
    return shared
