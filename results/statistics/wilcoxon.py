"""Wilcoxon's signed ranks across tasks: where the power is, as each task counts as one observation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def wilcoxon(differences: Sequence[float]) -> float:
    """Two-sided p that the tasks' mean differences lie around 0; those of 0 are split (Demšar 2006, section 3.1.3).

    All must be in one unit, as they are ranked by size. ValueError of none.
    """
    if not differences:
        raise ValueError("no task")
    if not any(differences):
        return 1.0
    from scipy.stats import wilcoxon as test

    found: Any = test(list(differences), zero_method="zsplit")
    return float(found.pvalue)
