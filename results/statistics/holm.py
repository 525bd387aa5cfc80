"""Holm's correction: many tests in one table, and still one chance in twenty of any false star."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

ALPHA = 0.05
"""The chance of any false mark that a table may have."""


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Adjusted p in the order given (Holm 1979); None, a test that could not be made, stays and does not count."""
    tested = sorted((p, i) for i, p in enumerate(ps) if p is not None)
    adjusted: list[float | None] = [None] * len(ps)
    highest = 0.0
    for position, (p, i) in enumerate(tested):
        highest = max(highest, min(1.0, (len(tested) - position) * p))
        adjusted[i] = highest
    return adjusted


def holm_array(ps: np.ndarray) -> np.ndarray:
    """The same of boards, (..., rows, columns), each adjusted over all its comparisons; NaN was not tested."""
    import numpy as np

    flat = ps.reshape(*ps.shape[:-2], -1)
    order = np.argsort(flat, -1)
    ordered = np.take_along_axis(flat, order, -1)
    left = (~np.isnan(flat)).sum(-1, keepdims=True) - np.arange(flat.shape[-1])
    steps = np.where(np.isnan(ordered), 0.0, np.minimum(1.0, ordered * left))
    adjusted = np.where(np.isnan(ordered), np.nan, np.maximum.accumulate(steps, -1))
    found = np.empty_like(flat)
    np.put_along_axis(found, order, adjusted, -1)
    return found.reshape(ps.shape)
