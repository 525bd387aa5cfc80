"""What the moderated test of a board will find, before its runs are made."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from optathlon.results.statistics.holm import ALPHA
from optathlon.results.statistics.moderated.looks import shares
from optathlon.results.statistics.moderated.noise_model import Comparisons, relative_variance
from optathlon.results.statistics.planner import POWER, rejection_chance, shift_needed
from optathlon.results.statistics.tails.student import quantile

USUAL_PRIOR = 16.0
"""How well variances are taken to follow row and column where nothing is known yet: as 16 degrees of freedom tell."""


def usual_df(rows: int, columns: int, seeds: int) -> float:
    """The degrees of freedom of a comparison on a board of so many rows, tasks and seeds whose noise is much alike."""
    df = np.full((rows, columns), seeds - 1.0)
    first, half = np.zeros((1, columns), dtype=int), np.full((rows, columns), 0.5)
    relative = relative_variance(df, np.array(USUAL_PRIOR), np.zeros((1, columns)), first, half, half)
    return float(2 / relative[-1, 0])


def resolution(rows: int, columns: int, seeds: int, power: float = POWER, share: float = 1.0) -> float:
    """The difference to the baseline, in deviations between seeds, that so many seeds find with the chance `power`.

    At the level that Holm asks of the smallest p of all (rows - 1) × columns comparisons, of which a look has `share`.
    """
    df = usual_df(rows, columns, seeds)
    limit = quantile(1 - ALPHA * share / ((rows - 1) * columns), df)
    return shift_needed(df, limit, power) * math.sqrt(2 / seeds)


def expected_seeds(rows: int, columns: int, looks: Sequence[int], deviations: float, comparisons: int = 1) -> float:
    """The seeds that a row is run with on average if it truly differs from the baseline by so many deviations.

    comparisons: the row goes on as long as any of so many is open, as the baseline does with those of its column. A
    comparison is taken to be decided by a look with the highest chance that a look up to it has, which is a little less
    than the truth, as looks err apart.
    """
    seeds, missed = float(looks[0]), 1.0
    for count, following, share in zip(looks, looks[1:], shares(looks), strict=False):
        df = usual_df(rows, columns, count)
        limit = quantile(1 - ALPHA * share / ((rows - 1) * columns), df)
        missed = min(missed, 1 - rejection_chance(deviations / math.sqrt(2 / count), df, limit))
        seeds += (1 - (1 - missed) ** comparisons) * (following - count)
    return seeds


def chance_found(planned: Comparisons, place: tuple[int, int], delta: float, level: float) -> float:
    """The chance that the comparison `place` (row, column) is shown at `level` if the true difference is `delta`.

    planned: of one board, with the seeds that are asked about.
    """
    weights, variance, df = (
        planned.weights[:, 0, 0],
        planned.variance[:, place[0], place[1]],
        planned.df[:, place[0], place[1]],
    )
    # Imported here, as that takes longer than a small board; for all limits at once, as a page asks for thousands.
    from scipy.special import stdtrit

    known = weights > 1e-3  # what has next to no weight changes no digit that is shown
    limits = -stdtrit(df[known], level / 2)
    chances = (
        float(weight) * rejection_chance(abs(delta) / math.sqrt(v), float(f), float(limit))
        for weight, v, f, limit in zip(weights[known], variance[known], df[known], limits, strict=True)
    )
    return sum(chances) / float(weights[known].sum())
