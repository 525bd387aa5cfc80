"""The noise of a board, and differences of its rows by it: one method for every mark (docs/statistics.md).

Variances are drawn towards what row and column predict (`variance_model`), differences taken with the correlation that
the seeds of a column are seen to have (`seed_correlation`), degrees of freedom by Satterthwaite's rule with what was
borrowed counted. All functions take one board or a stack of boards (leading axes), and nothing is drawn at random.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import NamedTuple

import numpy as np

from optathlon.results.statistics.moderated.cell_moments import Moments, moments
from optathlon.results.statistics.moderated.distributions import fisher_tail, student_density, two_sided_p
from optathlon.results.statistics.moderated.seed_correlation import SeedCorrelation, seed_correlation
from optathlon.results.statistics.moderated.variance_model import PRIOR_DF, VarianceModel, fit_variances

# How far the own variances of two cells count as one in Satterthwaite's rule: simulated (docs/statistics.md).
_MOST_COMMON, _CAUTION = 0.6, 2.5
_MOST_SQUARED = 0.9
_NEWTON_STEPS = 25
_UNLIKELY = 1e-10


class Comparisons(NamedTuple):
    """Rows of a board less others."""

    delta: np.ndarray
    """(..., rows, columns)."""
    variance: np.ndarray
    """(d0, ..., rows, columns): of delta at each prior degrees of freedom."""
    df: np.ndarray
    """(d0, ..., rows, columns): the degrees of freedom of that variance."""
    weights: np.ndarray
    """(d0, ..., 1, 1): how likely each d0 is."""

    def p(self) -> np.ndarray:
        """Two-sided p of no difference; NaN where there is no noise to judge by, or no difference."""
        known = (self.variance[0] > 0) & np.isfinite(self.delta)
        error = np.sqrt(np.where(self.variance > 0, self.variance, 1.0))
        p = (self.weights * two_sided_p(np.where(known, self.delta, 0.0) / error, self.df)).sum(0)
        return np.where(known, np.minimum(p, 1.0), np.nan)

    def half_width(self, level: float = 0.95) -> np.ndarray:
        """Half the interval of each difference: the distance with p = 1 - level. 0 where there is no noise."""
        error = np.sqrt(np.where(self.variance > 0, self.variance, 1.0))
        # p is convex in the distance, so that Newton's steps approach the root from the left: from where it would be
        # if the least variance were known for sure.
        half = -NormalDist().inv_cdf((1 - level) / 2) * error.min(0)
        for _ in range(_NEWTON_STEPS):
            t = half / error
            p = (self.weights * two_sided_p(t, self.df)).sum(0)
            slope = (self.weights * 2 * student_density(t, self.df) / error).sum(0)
            step = (p - (1 - level)) / slope
            half = half + step
            if np.all(np.abs(step) <= 1e-9 * half):
                break
        return np.where(self.variance[0] > 0, half, 0.0)

    def single_df(self) -> np.ndarray:
        """One number of degrees of freedom, the harmonic mean over d0."""
        return 1 / (self.weights / self.df).sum(0)


class NoiseModel:
    """Fitted to a board. scores: (..., rows, columns, seeds), higher is better, NaN where there is none; seed s is the
    same seed in every cell, and the first row the baseline. A cell with a diverged seed is NaN as a whole."""

    def __init__(self, scores: np.ndarray) -> None:
        self.known = np.isfinite(scores)
        self.cells: Moments = moments(scores)
        self.correlation: SeedCorrelation = seed_correlation(self.cells)
        self.shared = np.minimum(self.correlation.pooled**2, _MOST_SQUARED)
        # Where seeds are correlated, so are the errors of a column's variances: those tell less of each other's.
        model: VarianceModel = fit_variances(self.cells.variance, self.cells.df / (1 - self.shared))
        # What has no weight on any board of the stack need not be carried further.
        likely = model.weights.reshape(len(PRIOR_DF), -1).max(1) > _UNLIKELY
        self.prior_df = np.array(PRIOR_DF)[likely]
        self.scales, self.weights = model.scales[likely], model.weights[likely]

    def drawn_variances(self) -> np.ndarray:
        """(d0, ..., rows, columns): each cell's variance, drawn to its prediction by their degrees of freedom."""
        own = self._own_share()
        return own * self.cells.variance + (1 - own) * self.scales

    def typical_variance(self) -> np.ndarray:
        """(..., 1, columns): the geometric mean over rows of what is predicted; 0 in a column without noise."""
        noisy = self.scales[0].max(-2, keepdims=True) > 0
        logs = np.log(np.where(self.scales > 0, self.scales, 1.0))
        mean = (self.weights[..., None, None] * logs).sum(0).mean(-2, keepdims=True)
        return np.where(noisy, np.exp(mean), 0.0)

    def noisier_p(self) -> np.ndarray:
        """(..., rows, columns): the chance of a variance as large as the cell's, if the board's prediction holds."""
        chance = np.zeros(self.cells.variance.shape)
        df = np.maximum(self.cells.df, 1.0)
        for prior, scale, weight in zip(self.prior_df, self.scales, self.weights, strict=True):
            ratio = self.cells.variance / np.where(scale > 0, scale, 1.0)
            chance = chance + weight[..., None, None] * fisher_tail(ratio, df, float(prior))
        return np.where(self.cells.df > 0, chance, 1.0)

    def compare(self, others: np.ndarray) -> Comparisons:
        """All rows less the row `others`, (..., 1, columns), of each column."""
        count = np.maximum(self.cells.seeds, 1)
        common = (self.known & np.take_along_axis(self.known, others[..., None], -3)).sum(-1)
        return self._compared(others, count, common, self.cells.df)

    def planned(self, others: np.ndarray, seeds: int) -> Comparisons:
        """The same if every cell had so many seeds, and its variance were what it is drawn to now."""
        count = np.full(self.cells.seeds.shape, seeds)
        return self._compared(others, count, count, np.where(self.scales[0] > 0, seeds - 1.0, 0.0))

    def _compared(self, others: np.ndarray, count: np.ndarray, common: np.ndarray, df: np.ndarray) -> Comparisons:
        """The differences with so many seeds a cell, so many of them common, and so much known of each variance."""
        drawn, other_count = self.drawn_variances(), _rows(count, others)
        # The variances of the two means, their geometric mean, and the correlation of the means by common seeds.
        a, b = drawn / count, _rows(drawn, others) / other_count
        geometric = np.sqrt(a) * np.sqrt(b)
        correlation = self.correlation.cautious * common / np.sqrt(count * other_count)
        delta = self.cells.mean - _rows(self.cells.mean, others)
        total = np.where(a + b > 0, a + b, 1.0)
        shared = self.shared * (1 - 2 * geometric / total)
        relative = relative_variance(df, self._prior(), shared, others, a / total, b / total)
        variance = a + b - 2 * correlation * geometric
        return Comparisons(delta, variance, 2 / np.maximum(relative, 1e-9), self.weights[..., None, None])

    def _own_share(self) -> np.ndarray:
        """(d0, ..., rows, columns): how much of a drawn variance is the cell's own."""
        return self.cells.df / (self.cells.df + self._prior())

    def _prior(self) -> np.ndarray:
        return self.prior_df.reshape(-1, *(1,) * self.cells.df.ndim)


def relative_variance(
    df: np.ndarray, prior: np.ndarray, shared: np.ndarray, others: np.ndarray, p: np.ndarray, q: np.ndarray
) -> np.ndarray:
    """The relative variance of the estimated variance of a difference, which Satterthwaite's df is 2 over.

    df: of each cell's variance. prior: the degrees of freedom that it is drawn with. shared: how far the errors of a
    column's variances are common. p, q: the shares of the two rows in it. Own variances vary by themselves, but partly
    together (`together`), borrowed ones with the factors of their columns and rows (docs/statistics.md).
    """
    borrowed = prior / (df + prior)
    information = df * prior / (2 * (df + prior))
    of_column, of_row = information.sum(-2, keepdims=True), information.sum(-1, keepdims=True)
    board = np.maximum(information.sum((-2, -1), keepdims=True), 1e-9)
    of_row = np.where(of_row > 0, of_row, board / np.maximum((of_row > 0).sum(-2, keepdims=True), 1))
    noisy = np.maximum((df > 0).sum(-2, keepdims=True), 1)
    mean_df = np.maximum(df.sum(-2, keepdims=True) / noisy, 1e-9)
    column = 1 / np.maximum(of_column, 1e-9) - 1 / board + shared * (2 / mean_df) * (1 - 1 / noisy)
    least = np.minimum(df, _rows(df, others))
    most = np.where(least < 2, 1.0, _MOST_COMMON)
    together = np.maximum(shared, np.minimum(most, _CAUTION / (least + prior)))
    variation = 2 / (df + prior)
    other_variation = _rows(variation, others)
    lent, other_lent = borrowed * p, _rows(borrowed, others) * q
    return (
        variation * p**2
        + other_variation * q**2
        + 2 * np.sqrt(variation * other_variation) * p * q * together
        + lent**2 * (column + 1 / of_row)
        + other_lent**2 * (column + _rows(1 / of_row, others))
        + 2 * lent * other_lent * column
    )


def _rows(values: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The row `at` of each column, (..., 1, columns). values: (..., rows, columns or 1), perhaps with leading axes."""
    values = np.broadcast_to(values, (*values.shape[:-1], at.shape[-1]))
    return np.take_along_axis(values, at.reshape(*(1,) * (values.ndim - at.ndim), *at.shape), -2)
