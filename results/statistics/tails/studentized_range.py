"""The range of normal variables whose deviation is known."""

from __future__ import annotations

import math

from optathlon.results.statistics.tails.upper_quantile import upper_quantile

_STEP, _REACH = 1 / 8, 9.0
"""Of the trapezoidal rule, and how many deviations from its peak the density is followed: e^-40 is lost beside 1."""


def range_tail(q: float, count: int) -> float:
    """P(the largest of `count` standard normals exceeds the smallest by more than `q` >= 0).

    k ∫ φ(z) {Q(z)^(k-1) - [Q(z) - Q(z + q)]^(k-1)} dz, where z is the smallest and Q the normal tail (Hartley 1942), by
    the trapezoidal rule, which on such a function has full precision.
    """
    if q <= 0:
        return 1.0
    # Where q is large, the smallest and the largest are both about q/2 from the middle.
    first = math.floor((-q / 2 - _REACH) / _STEP)
    terms = []
    for i in range(first, round(_REACH / _STEP) + 1):
        z = i * _STEP
        above = math.erfc(z / math.sqrt(2)) / 2
        share = math.erfc((z + q) / math.sqrt(2)) / 2 / above
        some = -math.expm1((count - 1) * math.log1p(-share)) if share < 1 else 1.0
        terms.append(math.exp(-z * z / 2) * above ** (count - 1) * some)
    return min(1.0, count * _STEP / math.sqrt(2 * math.pi) * math.fsum(terms))


def range_quantile(chance: float, count: int) -> float:
    """The q that the range of `count` >= 2 standard normals exceeds with `chance`, between 0 and 1."""
    return upper_quantile(lambda q: range_tail(q, count), chance)
