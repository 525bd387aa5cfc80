"""Whether seeds of a board collapse now and then: three or four seeds cannot tell such luck from a difference.

Among three normal seeds one is now and then far from two that happen to be close; on a board where this is so in more
cells than chance has it, a rare second mode is at work, and a difference that it could make is not believed.
"""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

FEW = 4
"""With more seeds than this the variances of the cells tell by themselves."""
_FAR = 10.0
_CHANCES = {3: 0.1572, 4: 0.0175}
_LEVEL, _REACH = 0.99, 1.5


class Collapses(NamedTuple):
    """Boards on which a seed falls far behind the others now and then."""

    found: np.ndarray
    """(...,): whether a board has more split cells than normal noise."""
    reach: np.ndarray
    """(..., 1, columns): up to which differences of a column are then not believed."""


def collapsing_seeds(scores: np.ndarray) -> Collapses:
    """scores: (..., rows, columns, seeds), NaN where there is none.

    A cell of three or four seeds is split if the largest gap between neighbors is more than 10 times the sum of the
    others, which normal noise has in 15.7 % and 1.75 % of cells.
    """
    count = np.isfinite(scores).sum(-1)
    ordered = np.sort(scores, -1)
    split, cells, expected = (np.zeros(scores.shape[:-3]) for _ in range(3))
    for seeds, chance in _CHANCES.items():
        gaps = np.diff(ordered[..., :seeds], axis=-1)
        largest = gaps.max(-1, initial=0.0)
        others = gaps.sum(-1) - largest
        varied = (count == seeds) & (others > 0)
        split = split + (varied & (largest > _FAR * others)).sum((-2, -1))
        cells = cells + varied.sum((-2, -1))
        expected = expected + chance * varied.sum((-2, -1))
    allowed = np.vectorize(_most_by_chance, otypes=[float])(cells, expected / np.maximum(cells, 1))
    highest = np.where(np.isfinite(scores), scores, -np.inf).max(-1, initial=-np.inf)
    lowest = np.where(np.isfinite(scores), scores, np.inf).min(-1, initial=np.inf)
    spans = np.where(count > 1, highest - lowest, 0.0)
    return Collapses(split > allowed, _REACH * spans.max(-2, keepdims=True, initial=0.0))


@functools.cache
def _most_by_chance(cells: float, chance: float) -> int:
    """The 99 % quantile of a binomial distribution."""
    total, n = 0.0, round(cells)
    for k in range(n + 1):
        total += math.comb(n, k) * chance**k * (1 - chance) ** (n - k)
        if total >= _LEVEL:
            return k
    return n
