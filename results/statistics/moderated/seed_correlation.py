"""How far the runs of one seed move together: seeds share initial weights, order and masks across rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optathlon.results.statistics.moderated.cell_moments import Moments

MOST = 0.95
_FAR_APART = 4.0
"""Standard errors that the baseline's correlation lies below the others' before that is said."""


class SeedCorrelation(NamedTuple):
    """How far seeds move together, per column, (..., 1, columns)."""

    pooled: np.ndarray
    """The mean correlation over all pairs of rows, drawn to that of the board."""
    cautious: np.ndarray
    """Less one standard error, and no more than that with the baseline; what a standard error may rely on."""
    baseline_apart: np.ndarray
    """(...,): whether the other rows of the board move together, and the baseline does not move with them."""


def seed_correlation(cells: Moments) -> SeedCorrelation:
    """Of the cells that have noise and as many seeds as any; the first row is the baseline."""
    most = cells.seeds.max((-2, -1))[..., None]
    squares = (cells.centered**2).sum(-1)
    used = (cells.df > 0) & (cells.seeds == most[..., None]) & (squares > 0)
    unit = np.where(used[..., None], cells.centered / np.sqrt(np.where(used, squares, 1.0))[..., None], 0.0)
    rows, df = used.sum(-2), np.maximum(most - 1, 1)
    pairs = rows * (rows - 1)
    # The squared length of the sum of unit vectors is their number, and twice the sum of their products.
    among = ((unit.sum(-3) ** 2).sum(-1) - rows) / np.maximum(pairs, 1)
    others = np.where(used[..., 0, :], rows - 1, 0)
    with_baseline = (unit[..., 0, :, :] * unit[..., 1:, :, :].sum(-3)).sum(-1) / np.maximum(others, 1)
    known, compared = rows >= 2, others >= 1
    columns = np.maximum(compared.sum(-1, keepdims=True), 1)
    board = np.clip(_mean(among, known), 0, MOST)
    baseline = _mean(with_baseline, compared)
    error = _error_among(board, np.maximum(rows, 2), df)
    baseline_error = _error_with(np.clip(baseline, 0, MOST), np.maximum(rows, 2), df * columns)
    least = np.minimum(among - error, baseline - baseline_error)
    cautious = np.where(known & compared, np.clip(least, 0, MOST), 0.0)
    pooled = _drawn_together(among, known, board, error)
    among_others = (among * pairs - 2 * others * with_baseline) / np.maximum(others * (others - 1), 1)
    apart = _apart(among_others, baseline, others, df * columns)
    return SeedCorrelation(pooled[..., None, :], cautious[..., None, :], apart)


def _apart(among_others: np.ndarray, baseline: np.ndarray, others: np.ndarray, df: np.ndarray) -> np.ndarray:
    """Whether the mean correlation of the other rows is above that with the baseline by more than chance."""
    # With two others one correlation is all there is to judge by.
    judged = others >= 3
    together = _mean(among_others, judged)[..., 0]
    rho, rows = np.clip(together, 0, MOST)[..., None], np.maximum(others, 2)
    # Both errors as they are if the baseline moves like any other row.
    errors = _error_among(rho, rows, df) ** 2 + _error_with(rho, rows + 1, df) ** 2
    return judged.any(-1) & (together - baseline[..., 0] > _FAR_APART * np.sqrt(_mean(errors, judged)[..., 0]))


def _mean(values: np.ndarray, used: np.ndarray) -> np.ndarray:
    return np.where(used, values, 0.0).sum(-1, keepdims=True) / np.maximum(used.sum(-1, keepdims=True), 1)


def _error_among(rho: np.ndarray, rows: np.ndarray, df: np.ndarray) -> np.ndarray:
    """The standard error of the mean correlation over all pairs of so many rows whose correlation is `rho`."""
    return np.sqrt(2 * (1 - rho) ** 2 * (1 + (rows - 1) * rho) ** 2 / (rows * (rows - 1) * df))


def _error_with(rho: np.ndarray, rows: np.ndarray, df: np.ndarray) -> np.ndarray:
    """The same of the mean over the pairs with one row, the baseline."""
    return np.sqrt((1 - rho) * (1 + (rows - 2) * rho) / ((rows - 1) * df))


def _drawn_together(among: np.ndarray, known: np.ndarray, board: np.ndarray, error: np.ndarray) -> np.ndarray:
    """Each column's correlation drawn to the board's as far as sampling explains its scatter (James and Stein)."""
    columns = np.maximum(known.sum(-1, keepdims=True), 1)
    apart = np.where(known, among - board, 0.0)
    scatter = np.maximum((apart**2).sum(-1, keepdims=True) / np.maximum(columns - 1, 1), 1e-12)
    kept = np.clip(1 - error**2 * (columns - 3) / np.maximum(columns - 1, 1) / scatter, 0, 1)
    return np.clip(board + np.where(columns > 3, kept, 1.0) * apart, 0, MOST)
