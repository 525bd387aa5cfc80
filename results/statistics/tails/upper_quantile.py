"""Quantiles of distributions that are known by their tails."""

from __future__ import annotations

import math
from collections.abc import Callable

_PRECISION = 1e-14
_LEAST = 5e-324
"""The least positive number: where a tail is 0 its logarithm is taken for that of this."""


def upper_quantile(tail: Callable[[float], float], chance: float) -> float:
    """The x > 0 at which `tail`, which falls from 1 at 0, is `chance`; ValueError unless 0 < `chance` < 1.

    By false position on its logarithm, which is smooth, with the Illinois rule: of two steps that end on one side, the
    other side's value is halved (Dowell & Jarratt 1971).
    """
    if not 0 < chance < 1:
        raise ValueError(f"a chance of {chance!r}: must lie between 0 and 1")

    def excess(x: float) -> float:
        return math.log(max(tail(x), _LEAST)) - math.log(chance)

    x, other = 4.0, 0.0
    while excess(x) > 0:
        x *= 2
    at_x, at_other = excess(x), excess(other)
    for _ in range(200):
        following = (other * at_x - x * at_other) / (at_x - at_other)
        moved, value = abs(following - x), excess(following)
        if value * at_x < 0:
            other, at_other = x, at_x
        else:
            at_other /= 2
        x, at_x = following, value
        if not value or moved <= _PRECISION * x:
            break
    return x
