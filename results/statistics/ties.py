"""Which samples are not separable from the best, and which could never be."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

from optathlon.results.statistics.holm import holm
from optathlon.results.statistics.summary import mean
from optathlon.results.statistics.welch import welch

ALPHA = 0.05


def tied_with_best(samples: Sequence[Sequence[float]], higher_is_better: bool, alpha: float = ALPHA) -> list[bool]:
    """For each sample whether it is not shown to differ from the one with the best mean (the first of equal ones).

    Welch against the best, Holm over the others. What cannot be tested is not shown to differ. The best ties with
    itself. ValueError if a sample is empty.
    """
    if not samples:
        return []
    means = [mean(values) for values in samples]
    if any(m is None for m in means):
        raise ValueError("every sample needs a value")
    sign = 1.0 if higher_is_better else -1.0
    best = max(range(len(samples)), key=lambda i: (sign * (means[i] or 0.0), -i))
    others = [i for i in range(len(samples)) if i != best]
    ps = holm([welch(samples[i], samples[best]).p for i in others])
    apart = {i for i, p in zip(others, ps, strict=True) if p is not None and p < alpha}
    return [i not in apart for i in range(len(samples))]


def smallest_p(test: Literal["sign-flip", "wilcoxon", "mann-whitney"], n: int, m: int | None = None) -> float:
    """The smallest two-sided p that the exact `test` can give: n pairs, or samples of n and m (default n).

    With three seeds none of them can ever reject at 0.05: 0.25, 0.25 and 0.1.
    """
    if test == "mann-whitney":
        return min(1.0, 2 / math.comb(n + (n if m is None else m), n))
    return min(1.0, 2 / 2**n)
