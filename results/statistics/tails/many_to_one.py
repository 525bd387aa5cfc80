"""Many means against one of a control, all with one estimated variance: how far the farthest is from it by chance."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

_LOST = 40.0
"""e^-40 is lost beside 1 in double precision."""
_UNDERFLOW, _SQUARED = 760.0, 1e150
"""e^-760 is 0 there, and squares of what is smaller than the second are no infinity."""
_REACH, _FARTHEST = 9.0, 39.0
"""Deviations of a normal beyond which its density is lost beside its peak's, and its tail is 0."""


class _Group(NamedTuple):
    """Samples of one size, given the control's mean, z of its deviations from the truth."""

    slope: float
    """By how many deviations of their own they lie off the control per unit of z."""
    scale: float
    """A standard error of their difference to the control, in deviations of their own."""
    samples: int


@functools.lru_cache(maxsize=64)
def farthest_tail(df: int, control: int, sizes: tuple[int, ...]) -> Callable[[float], float]:
    """P(a mean is more than t standard errors of its difference from the control's), as a function of t >= 0.

    df: of the pooled variance. control, sizes: numbers of values. The chance at a known deviation is averaged over the
    ratio v of the estimated to the true one, v² df being a chi-square (Dunnett 1955, equation 6). In log v the
    integrand is analytic and falls off at both ends, so that the trapezoidal rule has full precision (Trefethen &
    Weideman 2014), and its nodes for all t can be those of one grid, at which the inner chance is computed once.
    """
    step = min(0.12, 0.4 / math.sqrt(2 * df))
    spread = _LOST / df
    at_known_deviation = _tail_at_known_deviation(control, sizes)
    node = functools.cache(lambda i: at_known_deviation(math.exp(i * step)))

    def tail(t: float) -> float:
        if t <= 0:
            return 1.0
        # Far out it is the small v that count: the peak moves down from log v = 0 by this, and as far does the chance.
        shift = math.log1p(t * t / df) / 2 if t < _SQUARED else math.log(t)
        if df * shift > _UNDERFLOW:
            return 0.0
        low, high = -shift - spread - math.sqrt(spread), math.log1p(2 * (spread + math.sqrt(spread))) / 2
        numbers = range(math.floor((low + math.log(t)) / step), math.ceil((high + math.log(t)) / step) + 1)
        logs = [i * step - math.log(t) for i in numbers]
        density = [math.exp(df * (u - math.expm1(2 * u) / 2)) for u in logs]
        chances = (weight * node(i) for i, weight in zip(numbers, density, strict=True))
        return min(1.0, math.fsum(chances) / math.fsum(density))

    return tail


def _tail_at_known_deviation(control: int, sizes: tuple[int, ...]) -> Callable[[float], float]:
    """The same as a function of x > 0, if the deviation need not be estimated.

    Given z the samples are independent: ∫ φ(z) {1 - Π [1 - Q((x + ρ z) / σ) - Q((x - ρ z) / σ)]} dz with ρ² = n / (n +
    n0) and σ² = 1 - ρ².
    """
    shares = {n: n / (n + control) for n in sizes}
    groups = [
        _Group(math.sqrt(shares[n] / (1 - shares[n])), 1 / math.sqrt(1 - shares[n]), count)
        for n, count in Counter(sizes).items()
    ]
    most = max(shares.values())
    step = math.sqrt(1 - most) / 4

    def tail(x: float) -> float:
        if x > _FARTHEST:
            return 0.0
        # Even in z; far out, the peak is where both the control and a sample are off.
        terms = []
        for i in range(math.ceil((_REACH + math.sqrt(most) * x) / step) + 1):
            z = i * step
            some = -math.expm1(math.fsum(_log_chance_within(group, x, z) for group in groups))
            terms.append((2 if i else 1) * math.exp(-z * z / 2) * some)
        return min(1.0, step / math.sqrt(2 * math.pi) * math.fsum(terms))

    return tail


def _log_chance_within(group: _Group, x: float, z: float) -> float:
    """The logarithm of the chance that no sample of the group is more than x standard errors from the control."""
    above, below = group.scale * x + group.slope * z, group.scale * x - group.slope * z
    beyond = (math.erfc(above / math.sqrt(2)) + math.erfc(below / math.sqrt(2))) / 2
    return group.samples * math.log1p(-beyond) if beyond < 1 else -math.inf
