"""A cell's variance as its row and its column predict it: what three seeds cannot tell, a board can.

v ~ a_row · b_column · F(d, d0), free factors, as limma has it for genes (Smyth 2004), with the prior degrees of freedom
d0 not estimated but averaged over: every d0 of a grid is fitted and weighted by its likelihood.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from optathlon.results.statistics.moderated.distributions import log_gamma

PRIOR_DF = (1e4, 80.0, 40.0, 24.0, 16.0, 12.0, 8.0, 6.0, 4.0, 3.0, 2.0, 1.0, 0.5)
"""The grid of d0: from variances that follow their row and column exactly, to ones that hardly do."""
_SHRINKING_PRIOR = 0.25
_FIRST_SWEEPS, _SWEEPS, _LONGEST_STEP = 12, 5, 2.0
_FLOOR = 1e-12


class VarianceModel(NamedTuple):
    """What row and column say of a cell's variance."""

    scales: np.ndarray
    """(d0, ..., rows, columns): the predicted variance of each cell at each d0 of the grid; 0 in a column without
    noise."""
    weights: np.ndarray
    """(d0, ...): how likely each d0 is; they sum to 1."""


def fit_variances(variance: np.ndarray, df: np.ndarray) -> VarianceModel:
    """Fits the factors by Fisher scoring, column and row factors in turn, from each d0 to the next.

    variance, df: (..., rows, columns); cells of df 0 say nothing. df: what the variance counts for, more than its own
    where the seeds of a column are correlated, as its errors then are the column's.
    """
    known = df > 0
    column_mean = np.where(known, variance, 0.0).sum(-2, keepdims=True) / np.maximum(known.sum(-2, keepdims=True), 1)
    noisy = column_mean > 0
    variance = np.where(known, np.maximum(variance, _FLOOR * column_mean), 0.0)
    log_row = np.zeros((*variance.shape[:-1], 1))
    log_column = np.log(np.where(noisy, column_mean, 1.0))
    scales, likelihoods = [], []
    for number, prior in enumerate(PRIOR_DF):
        for _ in range(_FIRST_SWEEPS if number == 0 else _SWEEPS):
            log_row, log_column = _sweep(variance, df, prior, log_row, log_column)
        predicted = log_row + log_column
        scales.append(np.where(noisy, np.exp(predicted), 0.0))
        likelihoods.append(_log_likelihood(variance, df, prior, predicted) - _SHRINKING_PRIOR * np.log1p(prior))
    log_weights = np.stack(likelihoods)
    weights = np.exp(log_weights - log_weights.max(0))
    return VarianceModel(np.stack(scales), weights / weights.sum(0))


def _ratio(variance: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    return variance * np.exp(np.clip(-predicted, -600, 600))


def _sweep(
    variance: np.ndarray, df: np.ndarray, prior: float, log_row: np.ndarray, log_column: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """One step for all column factors, and then one for all row factors, whose logarithms have the mean 0."""
    information = _information(df, prior)
    score = _score(df, prior, _ratio(variance, log_row + log_column))
    log_column = log_column + _step(score.sum(-2, keepdims=True), information.sum(-2, keepdims=True))
    score = _score(df, prior, _ratio(variance, log_row + log_column))
    of_row = information.sum(-1, keepdims=True)
    used = of_row > 0
    log_row = np.where(used, log_row + _step(score.sum(-1, keepdims=True), of_row), 0.0)
    center = log_row.sum(-2, keepdims=True) / np.maximum(used.sum(-2, keepdims=True), 1)
    return np.where(used, log_row - center, 0.0), log_column


def _information(df: np.ndarray, prior: float) -> np.ndarray:
    """Fisher's information of a cell on the logarithm of its factor."""
    return df * prior / (2 * (df + prior))


def _score(df: np.ndarray, prior: float, ratio: np.ndarray) -> np.ndarray:
    """The derivative of a cell's log likelihood by the logarithm of its factor."""
    return df / 2 * ((df + prior) * ratio / (prior + df * ratio) - 1)


def _step(score: np.ndarray, information: np.ndarray) -> np.ndarray:
    return np.clip(score / np.maximum(information, 1e-9), -_LONGEST_STEP, _LONGEST_STEP)


def _log_likelihood(variance: np.ndarray, df: np.ndarray, prior: float, predicted: np.ndarray) -> np.ndarray:
    """Of a whole board, with the adjustment of Cox and Reid for having fitted the factors."""
    ratio = _ratio(variance, predicted)
    # Degrees of freedom differ only where seeds are missing: Γ is asked once a distinct one.
    distinct, inverse = np.unique(df, return_inverse=True)
    constants = log_gamma((distinct + prior) / 2) - log_gamma(np.array([prior / 2])) - distinct / 2 * np.log(prior)
    constant = constants[inverse].reshape(df.shape)
    cells = constant - (df + prior) / 2 * np.log1p(df * ratio / prior) - df / 2 * predicted
    information = _information(df, prior)
    of_rows, of_columns = information.sum(-1), information.sum(-2)
    rows = (of_rows > 0).sum(-1)
    adjustment = _logs(of_columns) + _logs(of_rows) * (rows - 1) / np.maximum(rows, 1)
    return np.where(df > 0, cells, 0.0).sum((-2, -1)) - adjustment / 2


def _logs(information: np.ndarray) -> np.ndarray:
    return np.where(information > 0, np.log(np.where(information > 0, information, 1.0)), 0.0).sum(-1)
