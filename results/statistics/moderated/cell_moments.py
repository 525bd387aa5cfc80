"""What the seeds of every cell of a board come to: mean, variance and how much is known of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

FLAT = 1e-12
"""A deviation below this share of the largest score is rounding: the cell is constant."""


class Moments(NamedTuple):
    """What a cell's seeds come to: arrays (..., rows, columns), centered with seeds as its last axis."""

    mean: np.ndarray
    """NaN without scores."""
    centered: np.ndarray
    """Scores less the cell's mean, 0 where there is none."""
    variance: np.ndarray
    """The sample variance; on a coarse metric at least that of rounding."""
    df: np.ndarray
    """Its degrees of freedom; 0 where it says nothing: one seed, or a constant cell of a fine metric."""
    seeds: np.ndarray
    """How many scores the cell has."""


def moments(scores: np.ndarray) -> Moments:
    """scores: (..., rows, columns, seeds), NaN where there is none."""
    known = np.isfinite(scores)
    count = known.sum(-1)
    filled = np.where(known, scores, 0.0)
    mean = np.where(count > 0, filled.sum(-1) / np.maximum(count, 1), np.nan)
    centered = np.where(known, scores - np.where(count > 0, mean, 0.0)[..., None], 0.0)
    variance = (centered**2).sum(-1) / np.maximum(count - 1, 1)
    flat = (count > 1) & (variance <= (FLAT * np.abs(filled).max(-1)) ** 2)
    coarse, step = _grid_of_scores(np.where((flat | (count < 2))[..., None], np.nan, scores))
    df = np.where((count < 2) | (flat & ~coarse), 0, count - 1).astype(float)
    # On a coarse metric equal scores are rounded ones: uniform noise within a step has the variance step² / 12.
    variance = np.where(coarse, np.maximum(variance, step**2 / 12), variance)
    return Moments(mean, centered, np.where(df > 0, variance, 0.0), df, count)


def _grid_of_scores(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Per column, (..., 1, columns): whether its scores take at most half as many values as there are; their least
    step."""
    together = np.moveaxis(scores, -2, -3)
    ordered = np.sort(together.reshape(*together.shape[:-2], -1), -1)
    known = np.isfinite(ordered)
    count = known.sum(-1)
    largest = np.abs(np.where(known, ordered, 0.0)).max(-1)
    gaps = np.diff(ordered, axis=-1)
    new = gaps > FLAT * largest[..., None]
    step = np.where(new, gaps, np.inf).min(-1, initial=np.inf)
    coarse = (count > 0) & (2 * (new.sum(-1) + 1) <= count)
    return coarse[..., None, :], np.where(np.isfinite(step), step, 0.0)[..., None, :]
