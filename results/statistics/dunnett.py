"""Dunnett's test: many optimizers against one baseline on one task, with a pooled variance."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.summary import deviation, mean

_NODES, _TAIL = 160, 1e-13


def dunnett(
    samples: Mapping[str, Sequence[float]], control: Sequence[float], level: float = 0.95
) -> dict[str, Difference]:
    """Each sample less `control`; p and intervals hold for all of them together (Dunnett 1955).

    All variances are taken to be equal. ValueError if a sample is empty; without two values in each, or without spread,
    only deltas are known.
    """
    everything = [*samples.values(), control]
    if not all(everything):
        raise ValueError("every sample needs a value")
    deltas = {name: (mean(values) or 0.0) - (mean(control) or 0.0) for name, values in samples.items()}
    spreads = [deviation(values) for values in everything]
    known = [s for s in spreads if s is not None]
    if not samples or len(known) < len(spreads) or not any(known):
        return {name: Difference(delta=delta) for name, delta in deltas.items()}
    df = sum(map(len, everything)) - len(everything)
    parts = (math.sqrt(len(values) - 1) * s for values, s in zip(everything, known, strict=True))
    pooled = math.hypot(*parts) / math.sqrt(df)
    within = _all_within(df, len(control), tuple(sorted(len(values) for values in samples.values())))
    allowed = _quantile(within, level)
    differences = {}
    for name, values in samples.items():
        error = pooled * math.sqrt(1 / len(values) + 1 / len(control))
        delta, reach = deltas[name], allowed * error
        p = min(1.0, max(0.0, 1.0 - within(abs(delta) / error)))
        differences[name] = Difference(delta=delta, low=delta - reach, high=delta + reach, p=p, df=df)
    return differences


def unequal_spreads(samples: Sequence[Sequence[float]], alpha: float = 0.05) -> bool:
    """Whether the control, the first of `samples`, has another variance than the others: what breaks Dunnett's test.

    The F test of its variance against the pooled one of the others, two-sided at `alpha`. False where a sample has one
    value, or none has spread.
    """
    from scipy.stats import f

    spreads = [deviation(values) for values in samples]
    known = [s for s in spreads if s is not None]
    if len(known) < len(samples) or len(samples) < 2 or not known[0] or not any(known[1:]):
        return False
    df, rest = len(samples[0]) - 1, sum(len(values) - 1 for values in samples[1:])
    pooled = math.fsum((len(v) - 1) * s * s for v, s in zip(samples[1:], known[1:], strict=True)) / rest
    ratio = known[0] ** 2 / pooled
    return 2 * min(float(f.sf(ratio, df, rest)), float(f.cdf(ratio, df, rest))) < alpha


# Most columns of a board have the same counts.
@functools.lru_cache(maxsize=64)
def _all_within(df: int, control: int, sizes: tuple[int, ...]) -> Callable[[float], float]:
    """The chance that no sample is more than t standard errors from the control, as a function of t.

    Given the control's mean and the pooled deviation, the samples are independent, so that it is an integral over these
    two alone (Dunnett 1955, equation 6), which the nodes of Gauss and Legendre take to about ten digits.
    """
    import numpy as np
    from scipy.special import ndtr
    from scipy.stats import chi, norm

    point, weight = np.polynomial.legendre.leggauss(_NODES)

    def nodes(low: Any, high: Any) -> tuple[np.ndarray, np.ndarray]:
        return low + (high - low) * (point + 1) / 2, weight * (high - low) / 2

    z, of_z = nodes(norm.ppf(_TAIL), norm.isf(_TAIL))
    s, of_s = nodes(chi.ppf(_TAIL, df), chi.isf(_TAIL, df))
    density = (of_z * norm.pdf(z))[:, None] * (of_s * chi.pdf(s, df))
    kinds = [(math.sqrt(n / (n + control)), count) for n, count in Counter(sizes).items()]

    def within(t: float) -> float:
        product = density
        for shared, count in kinds:
            own = math.sqrt(1 - shared * shared)
            middle, half = shared * z[:, None] / own, t * s / math.sqrt(df) / own
            product = product * (ndtr(middle + half) - ndtr(middle - half)) ** count
        return float(product.sum())

    return within


@functools.lru_cache(maxsize=64)
def _quantile(within: Callable[[float], float], level: float) -> float:
    """The t within which all are with the chance `level`."""
    from scipy import optimize

    high = 4.0
    while within(high) < level:
        high *= 2
    root: Any = optimize.brentq(lambda t: within(t) - level, 0.0, high, xtol=1e-9)
    return float(root)
