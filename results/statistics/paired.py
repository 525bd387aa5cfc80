"""Two optimizers by their common seeds: the runs of one seed share initial weights, order and masks."""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Mapping, Sequence
from typing import Literal

from optathlon.results.statistics.difference import Difference, from_error
from optathlon.results.statistics.summary import deviation, mean

MOST_FLIPS = 20


def differences(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """a - b for each seed that both have, by seed."""
    return [a[seed] - b[seed] for seed in sorted(a.keys() & b.keys())]


def paired_t(differences: Sequence[float], level: float = 0.95) -> Difference:
    """The t test of a mean difference of 0; ValueError of none."""
    delta, spread = mean(differences), deviation(differences)
    if delta is None:
        raise ValueError("no seed in common")
    if spread is None or spread <= 1e-14 * max(map(abs, differences)):
        return Difference(delta=delta)
    return from_error(delta, spread / math.sqrt(len(differences)), len(differences) - 1, level)


def sign_flip(differences: Sequence[float]) -> float:
    """Exact two-sided p: the share of all 2ⁿ assignments of signs with a sum at least as far from 0 as the observed.

    Its smallest value is 2 / 2ⁿ. ValueError of no or more than 20 differences.
    """
    if not 0 < len(differences) <= MOST_FLIPS:
        raise ValueError(f"{len(differences)} differences: the exact test takes 1 to {MOST_FLIPS}")
    sizes = [abs(d) for d in differences]
    observed = abs(math.fsum(differences)) - 1e-12 * math.fsum(sizes)
    first, *rest = sizes
    # The first sign stays: turning all of them mirrors the sum.
    flips = itertools.product((1, -1), repeat=len(rest))
    far = sum(abs(first + sum(map(operator.mul, signs, rest))) >= observed for signs in flips)
    return far / 2 ** len(rest)


def correlation(a: Mapping[int, float], b: Mapping[int, float]) -> float | None:
    """Pearson's correlation over common seeds: pairing pays where it is high. None of fewer than 3, or no spread."""
    seeds = sorted(a.keys() & b.keys())
    xs, ys = [a[s] for s in seeds], [b[s] for s in seeds]
    if len(seeds) < 3 or not (spread := (deviation(xs) or 0.0) * (deviation(ys) or 0.0)):
        return None
    x, y = math.fsum(xs) / len(xs), math.fsum(ys) / len(ys)
    shared = math.fsum((p - x) * (q - y) for p, q in zip(xs, ys, strict=True)) / (len(xs) - 1)
    return max(-1.0, min(1.0, shared / spread))


def smallest_p(test: Literal["sign-flip", "wilcoxon", "mann-whitney"], n: int, m: int | None = None) -> float:
    """The smallest two-sided p that the exact `test` can give: n pairs, or samples of n and m (default n).

    With three seeds none of them can ever reject at 0.05: 0.25, 0.25 and 0.1.
    """
    if test == "mann-whitney":
        return min(1.0, 2 / math.comb(n + (n if m is None else m), n))
    return min(1.0, 2 / 2**n)
