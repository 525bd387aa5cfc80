"""The interquartile mean over runs and tasks, with a bootstrap of all that it is estimated from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from optathlon.results.statistics.tails.student import quantile

if TYPE_CHECKING:
    import numpy as np

RESAMPLES = 2000


def iqm(scores: Sequence[Sequence[float]]) -> float:
    """Mean of the middle half of all runs of all tasks pooled (Agarwal et al. 2021).

    scores: for each task the normalized scores of its runs. ValueError if there are none.
    """
    import numpy as np

    pooled = np.concatenate([np.asarray(runs, dtype=float) for runs in scores]) if scores else np.empty(0)
    if not pooled.size:
        raise ValueError("no scores")
    return float(_middle(pooled[np.newaxis])[0])


def iqm_interval(
    scores: Sequence[Sequence[float]],
    baseline: Sequence[Sequence[float]],
    df: Sequence[int],
    level: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> tuple[float, float]:
    """Interval of `iqm` of scores less their task's baseline mean; the same `seed` gives the same interval.

    scores, baseline: for each task the scores of the runs in units of its deviation between seeds, from any zero; df:
    the degrees of freedom of that deviation. Everything that was estimated is drawn anew: runs of both within tasks,
    their distances from the mean widened by √(n / (n - 1)), which the bootstrap of few seeds lacks, and the unit. The
    ends are widened as t is beyond the normal. ValueError unless each task has two runs of both.
    """
    import numpy as np

    if not scores or any(len(runs) < 2 for runs in [*scores, *baseline]):
        raise ValueError("every task needs two runs of both")
    chance = np.random.default_rng(seed)

    def drawn(runs: Sequence[float]) -> np.ndarray:
        """Runs drawn with replacement, (resamples, runs), around their mean."""
        values = np.asarray(runs, dtype=float)
        apart = (values - values.mean()) * math.sqrt(values.size / (values.size - 1))
        return chance.choice(apart, size=(resamples, values.size))

    parts = []
    for runs, base, free in zip(scores, baseline, df, strict=True):
        gap = np.mean(runs) - np.mean(base)
        unit = np.sqrt(chance.chisquare(free, size=(resamples, 1)) / free)
        parts.append((gap + drawn(runs) - drawn(base).mean(1, keepdims=True)) * unit)
    middle = iqm([[x - float(np.mean(base)) for x in runs] for runs, base in zip(scores, baseline, strict=True)])
    ends = np.quantile(_middle(np.concatenate(parts, axis=1)), [(1 - level) / 2, (1 + level) / 2])
    wider = quantile(level, sum(len(runs) - 1 for runs in scores)) / quantile(level, 1e9)
    low, high = middle + wider * (ends - middle)
    return float(low), float(high)


def _middle(rows: np.ndarray) -> np.ndarray:
    import numpy as np

    cut = rows.shape[1] // 4
    return np.sort(rows, axis=1)[:, cut : rows.shape[1] - cut].mean(axis=1)
