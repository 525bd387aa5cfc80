"""How wide the range of good learning rates is."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping

import msgspec


class Region(msgspec.Struct, frozen=True, kw_only=True):
    """Rates around the best that do nearly as well."""

    low: float
    high: float
    best: float
    open_low: bool
    """Whether the grid ends before the region does, towards smaller rates."""
    open_high: bool
    """The same towards larger rates."""

    @property
    def decades(self) -> float:
        """The width in powers of ten; a lower bound where an end is open."""
        return math.log10(self.high / self.low)


def good_region(scores: Mapping[float, float | None], tolerance: float, higher_is_better: bool = True) -> Region | None:
    """The unbroken range around the best rate with scores within `tolerance` >= 0 of it; None if all diverged.

    scores: by rate > 0, None where it diverged. Between a good and a bad rate the score is taken to be linear in the
    rate's logarithm; towards a diverged one the region ends at the last good rate. Ties: the smallest rate is the best.
    """
    if tolerance < 0 or any(rate <= 0 for rate in scores):
        raise ValueError("tolerance must be at least 0, rates positive")
    sign = 1.0 if higher_is_better else -1.0
    losses = {rate: None if (s := scores[rate]) is None else -sign * s for rate in sorted(scores)}
    finite = {rate: loss for rate, loss in losses.items() if loss is not None and math.isfinite(loss)}
    if not finite:
        return None
    best = min(finite, key=lambda rate: finite[rate])
    worst = finite[best] + tolerance
    rates = list(losses)
    at = rates.index(best)
    low, open_low = _end(rates[at::-1], finite, worst)
    high, open_high = _end(rates[at:], finite, worst)
    return Region(low=low, high=high, best=best, open_low=open_low, open_high=open_high)


def _end(rates: list[float], finite: Mapping[float, float], worst: float) -> tuple[float, bool]:
    """How far the region reaches from the first of `rates` along them, and whether they end before it does."""
    for inside, outside in itertools.pairwise(rates):
        if outside not in finite:
            return inside, False
        if finite[outside] > worst:
            share = (worst - finite[inside]) / (finite[outside] - finite[inside])
            return math.exp((1 - share) * math.log(inside) + share * math.log(outside)), False
    return rates[-1], True
