"""Boards that are looked at several times: with a few seeds, and again with more where nothing is decided yet.

α is split over the looks in proportion to the seeds that each adds (a linear spending of it), and the smallest p of a
look over its share is a p like any other (Bonferroni over the looks), to which Holm's correction over the board applies
as ever. That needs no joint distribution of the looks, and a comparison that is decided stays so. Intervals are split
alike: a look's has the level 1 - α times its share, and what lies in those of all looks is an interval at 1 - α,
whenever the looks end (repeated confidence intervals, Jennison and Turnbull 1989). It leaves out 0 just where p < α.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from optathlon.results.statistics.holm import ALPHA, holm_array
from optathlon.results.statistics.moderated.board_tests import BoardTests


def shares(looks: Sequence[int]) -> list[float]:
    """Returns the share of α that each look has: what it adds, of all seeds. (3, 5, 8, 12): 1/4, 1/6, 1/4, 1/3."""
    return [(seeds - before) / looks[-1] for before, seeds in zip((0, *looks), looks, strict=False)]


class SequentialTests:
    """The comparisons of a board, or a stack of boards, with the first row, look by look.

    p: (..., rows, columns), the smallest p of a look over its share, NaN where nothing was ever compared; p_holm:
    adjusted over the board; low, high: the ends of a difference that lie in the intervals of all looks, infinite where
    none has one; decided_at: seeds of the look at which p_holm fell below `alpha`, 0 before. open: what the next look
    tests. asked: how many seeds each cell is asked for, the first row's as long as its column has anything open.
    """

    def __init__(self, shape: tuple[int, ...], looks: Sequence[int], alpha: float = ALPHA) -> None:
        self.looks, self.alpha = tuple(looks), alpha
        self.p = np.full(shape, np.nan)
        self.p_holm = np.full(shape, np.nan)
        self.low, self.high = np.full(shape, -np.inf), np.full(shape, np.inf)
        self.decided_at = np.zeros(shape, dtype=int)
        self.asked = np.full(shape, self.looks[0])
        self.open = np.ones(shape, dtype=bool)
        self.open[..., 0, :] = False
        self.reached = 0
        """How many looks are over."""

    def intervals(self) -> tuple[np.ndarray, np.ndarray]:
        """The ends of each difference, lower and upper. Where two looks' intervals have nothing in common, of which one
        is then false, it is what lies between them."""
        return np.minimum(self.low, self.high), np.maximum(self.low, self.high)

    def look(self, scores: np.ndarray) -> None:
        """Tests at the next look. scores: (..., rows, columns, seeds) as `BoardTests` takes them, seeds in their order.

        Only the first `asked` seeds of each cell are used. A cell that is NaN by now is compared no more.
        """
        seeds, share = self.looks[self.reached], shares(self.looks)[self.reached]
        used = np.where(np.arange(scores.shape[-1]) < self.asked[..., None], scores, np.nan)
        scored: np.ndarray = np.any(np.isfinite(used), axis=-1)
        tested = self.open & scored & scored[..., :1, :]
        tests = BoardTests(used)
        differences, half_widths = tests.against_baseline(), tests.half_widths(1 - self.alpha * share)
        # Where seeds show no spread yet, p is 1: the family must not grow later, which would undo a decision.
        p = np.where(tested, np.nan_to_num(differences.p, nan=1.0), np.nan)
        self.p = np.fmin(self.p, np.minimum(p / share, 1.0))
        known = tested & np.isfinite(differences.p)
        self.low = np.where(known, np.maximum(self.low, differences.delta - half_widths), self.low)
        self.high = np.where(known, np.minimum(self.high, differences.delta + half_widths), self.high)
        self.p_holm = holm_array(self.p)
        new = (self.decided_at == 0) & (np.nan_to_num(self.p_holm, nan=1.0) < self.alpha)
        self.decided_at = np.where(new, seeds, self.decided_at)
        self.reached += 1
        self.open = tested & (self.decided_at == 0) & (self.reached < len(self.looks))
        goes_on = self.open.copy()
        goes_on[..., 0, :] = self.open.any(-2)
        self.asked = np.where(goes_on, self.looks[min(self.reached, len(self.looks) - 1)], self.asked)
