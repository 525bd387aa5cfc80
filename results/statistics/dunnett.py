"""Dunnett's test: many optimizers against one baseline on one task, with a pooled variance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from results.scores import deviation, mean
from results.statistics.difference import Difference


def dunnett(
    samples: Mapping[str, Sequence[float]], control: Sequence[float], level: float = 0.95, seed: int = 0
) -> dict[str, Difference]:
    """Each sample less `control`; p and intervals hold for all of them together (Dunnett 1955).

    All variances are taken to be equal. SciPy integrates by quasi-Monte Carlo, seeded with `seed`. ValueError if a
    sample is empty; without two values in each, or without spread, only deltas are known.
    """
    everything = [*samples.values(), control]
    if not all(everything):
        raise ValueError("every sample needs a value")
    deltas = {name: (mean(values) or 0.0) - (mean(control) or 0.0) for name, values in samples.items()}
    spreads = [deviation(values) for values in everything]
    if not samples or any(s is None for s in spreads) or not any(spreads):
        return {name: Difference(delta=delta) for name, delta in deltas.items()}
    import numpy as np
    from scipy.stats import dunnett as test

    found = test(*map(list, samples.values()), control=list(control), rng=np.random.default_rng(seed))
    interval = found.confidence_interval(level)
    df = sum(map(len, everything)) - len(everything)
    return {
        name: Difference(delta=delta, low=float(low), high=float(high), p=min(1.0, float(p)), df=df)
        for (name, delta), low, high, p in zip(deltas.items(), interval.low, interval.high, found.pvalue, strict=True)
        if not math.isnan(p)
    }
