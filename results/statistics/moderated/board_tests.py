"""Every comparison of a board with its baseline, and with the best of each column: what the marks † and ≈ stand on."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optathlon.results.statistics.holm import holm_array
from optathlon.results.statistics.moderated.cell_moments import FLAT
from optathlon.results.statistics.moderated.collapsing_seeds import FEW, Collapses, collapsing_seeds
from optathlon.results.statistics.moderated.distributions import range_tail, two_sided_p
from optathlon.results.statistics.moderated.noise_model import Comparisons, NoiseModel
from optathlon.results.statistics.tails.student import quantile

_NOISIER = 0.01


class AgainstBaseline(NamedTuple):
    """Every row less the baseline: arrays (..., rows, columns), NaN where nothing is tested; higher is better."""

    delta: np.ndarray
    p: np.ndarray
    """Two-sided, by the noise of the whole board."""
    p_holm: np.ndarray
    """p adjusted over all comparisons of the board."""
    p_welch: np.ndarray
    """Of the two cells alone."""
    refused: np.ndarray
    """Whether the difference is small beside what collapsing seeds make, so that p is 1."""
    noisier: np.ndarray
    """Whether the cell's variance is beyond what its row and column predict, so that p is no less than Welch's."""


class BoardTests:
    """scores: (..., rows, columns, seeds), as `NoiseModel` takes them; the first row is the baseline, if there is one.

    A cell with one seed, or without spread where the metric is not coarse, is tested against nothing.
    """

    def __init__(self, scores: np.ndarray) -> None:
        # Columns in units of a power of two, which is exact: squares of scores then neither overflow nor vanish.
        largest = np.abs(np.where(np.isfinite(scores), scores, 0.0)).max((-3, -1), keepdims=True)
        unit = 2.0 ** np.ceil(np.log2(np.where(largest > 0, largest, 1.0)))
        scores, self.unit = scores / unit, unit[..., 0]
        self.model = NoiseModel(scores)
        self.collapses: Collapses = collapsing_seeds(scores)
        noisy = self.model.cells.df > 0
        cells = np.maximum(noisy.sum((-2, -1), keepdims=True), 1)
        self.noisier = noisy & (self.model.noisier_p() < _NOISIER / cells)

    def against_baseline(self) -> AgainstBaseline:
        """The whole board at once; Holm's family is every comparison that can be tested."""
        first = self._first()
        differences = self.model.compare(first)
        p, p_welch = differences.p(), self._welch()
        tested = self._tested(first)
        tested[..., 0, :] = False
        p = np.where(self._judged_apart(), np.fmax(p, p_welch), p)
        small = np.abs(np.where(tested, differences.delta, 0.0)) <= self.collapses.reach
        refused = tested & small & self._not_believed()
        p = np.where(tested, np.where(refused, 1.0, p), np.nan)
        p_welch = np.where(tested, p_welch, np.nan)
        return AgainstBaseline(differences.delta * self.unit, p, holm_array(p), p_welch, refused, self.noisier)

    def half_widths(self, level: float = 0.95) -> np.ndarray:
        """(..., rows, columns): half the interval of each difference to the baseline, where it is tested.

        What lies outside of it is what `against_baseline` would give a p below 1 - level: the interval leaves out 0
        just where p does.
        """
        half = self.model.compare(self._first()).half_width(level)
        apart = self._judged_apart() & (half > 0)
        if apart.any():
            error, df = self._welch_error()
            for place in map(tuple, np.argwhere(apart & np.isfinite(error))):
                half[place] = max(half[place], quantile(level, float(df[place])) * error[place])
        return np.where(self._not_believed() & (half > 0), np.maximum(half, self.collapses.reach), half) * self.unit

    def _judged_apart(self) -> np.ndarray:
        """Where row and column do not predict the noise of a cell or its baseline: their own seeds may say less."""
        return self.noisier | self.noisier[..., :1, :]

    def _not_believed(self) -> np.ndarray:
        """Where no difference is believed that collapsing seeds could make."""
        seeds = self.model.cells.seeds
        return (np.minimum(seeds, seeds[..., :1, :]) <= FEW) & self.collapses.found[..., None, None]

    def planned(self, seeds: int) -> Comparisons:
        """The comparisons with the first row if every cell had so many seeds; see `NoiseModel.planned`."""
        found = self.model.planned(self._first(), seeds)
        return found._replace(delta=found.delta * self.unit, variance=found.variance * self.unit**2)

    def _first(self) -> np.ndarray:
        return np.zeros((*self.noisier.shape[:-2], 1, self.noisier.shape[-1]), dtype=int)

    def tied_with_best(self, shown: np.ndarray | None = None, alpha: float = 0.05) -> np.ndarray:
        """(..., rows, columns): whether a cell is tested, and not shown to be worse than the best mean of its column.

        All pairs of a column are tested together (Tukey and Kramer), so that whichever is best was not picked first.
        shown: the rows that the best is looked for in; by default all. The best is tied with itself.
        """
        mean = self.model.cells.mean
        ranked = np.isfinite(mean) if shown is None else np.isfinite(mean) & shown[..., :, None]
        best = np.where(ranked, mean, -np.inf).argmax(-2)[..., None, :]
        differences = self.model.compare(best)
        worse = self._simultaneous(differences, np.isfinite(mean).sum(-2, keepdims=True)) < alpha
        itself = np.arange(mean.shape[-2])[:, None] == best
        return ranked & (itself | (self._tested(best) & ~worse))

    def standard_errors(self) -> np.ndarray:
        """(..., rows, columns): of each mean, by its variance as drawn to row and column."""
        variance = (self.model.weights[..., None, None] * self.model.drawn_variances()).sum(0)
        return np.sqrt(variance / np.maximum(self.model.cells.seeds, 1)) * self.unit

    def typical_deviations(self) -> np.ndarray:
        """(..., columns): the deviation between seeds that is typical of a column; 0 where there is none."""
        return np.sqrt(self.model.typical_variance()[..., 0, :]) * self.unit[..., 0, :]

    def _tested(self, others: np.ndarray) -> np.ndarray:
        noisy = self.model.cells.df > 0
        return noisy & np.take_along_axis(noisy, others, -2)

    def _simultaneous(self, differences: Comparisons, rows: np.ndarray) -> np.ndarray:
        """p of differences among all pairs of so many rows: that of the studentized range at the same p of one pair."""
        p, df = differences.p(), np.maximum(differences.single_df(), 1.0)
        rows = np.broadcast_to(rows, p.shape)
        adjusted = np.where(np.isnan(p), 1.0, p)
        pairs = rows * (rows - 1) / 2
        # The adjusted p lies between p itself and Bonferroni's, p times the pairs: the integral, which takes time, is
        # needed only where the two do not agree at any usual level.
        unclear = (adjusted < 0.1) & (adjusted * pairs > 1e-4) & (rows > 2)
        sure = (adjusted * pairs <= 1e-4) & (rows > 2)
        # Not np.unique, which imports numpy.ma: a tenth of what NumPy itself takes.
        for count in sorted(set(rows[unclear].tolist())):
            where = unclear & (rows == count)
            t = np.array([quantile(1 - pair_p, pair_df) for pair_p, pair_df in zip(p[where], df[where], strict=True)])
            adjusted[where] = range_tail(np.sqrt(2) * t, int(count), df[where])
        adjusted[sure] *= pairs[sure]
        return adjusted

    def _welch(self) -> np.ndarray:
        """Welch's p of each row against the first."""
        mean = self.model.cells.mean
        error, df = self._welch_error()
        with np.errstate(invalid="ignore"):
            t = (mean - mean[..., :1, :]) / error
        known = np.isfinite(t)
        return np.where(known, two_sided_p(np.where(known, t, 0.0), np.where(known, df, 1.0)), np.nan)

    def _welch_error(self) -> tuple[np.ndarray, np.ndarray]:
        """The standard error of each row less the first by the seeds of the two alone, NaN without any, and its
        degrees of freedom."""
        cells = self.model.cells
        with np.errstate(invalid="ignore", divide="ignore"):
            # As they are, also where a coarse metric makes the model's variance that of rounding.
            spread = (cells.centered**2).sum(-1) / (cells.seeds - 1)
            error = np.where(spread > (FLAT * cells.mean) ** 2, spread, 0.0) / cells.seeds
            total = error + error[..., :1, :]
            share, rest = error / total, error[..., :1, :] / total
            df = 1 / (share**2 / (cells.seeds - 1) + rest**2 / (cells.seeds[..., :1, :] - 1))
        known = (total > 0) & np.isfinite(total) & np.isfinite(df)
        return np.where(known, np.sqrt(np.where(known, total, 1.0)), np.nan), np.where(known, df, 1.0)
