"""Dunnett's test: many optimizers against one baseline on one task, with a pooled variance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.summary import deviation, mean
from optathlon.results.statistics.tails import fisher
from optathlon.results.statistics.tails.many_to_one import farthest_tail
from optathlon.results.statistics.tails.upper_quantile import upper_quantile


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
    tail = farthest_tail(df, len(control), tuple(sorted(len(values) for values in samples.values())))
    allowed = upper_quantile(tail, 1 - level)
    differences = {}
    for name, values in samples.items():
        error = pooled * math.sqrt(1 / len(values) + 1 / len(control))
        delta, reach = deltas[name], allowed * error
        p = tail(abs(delta) / error)
        differences[name] = Difference(delta=delta, low=delta - reach, high=delta + reach, p=p, df=df)
    return differences


def unequal_spreads(samples: Sequence[Sequence[float]], alpha: float = 0.05) -> bool:
    """Whether the control, the first of `samples`, has another variance than the others: what breaks Dunnett's test.

    The F test of its variance against the pooled one of the others, two-sided at `alpha`. False where a sample has one
    value, or none has spread.
    """
    spreads = [deviation(values) for values in samples]
    known = [s for s in spreads if s is not None]
    if len(known) < len(samples) or len(samples) < 2 or not known[0] or not any(known[1:]):
        return False
    df, rest = len(samples[0]) - 1, sum(len(values) - 1 for values in samples[1:])
    pooled = math.hypot(*(math.sqrt(len(v) - 1) * s for v, s in zip(samples[1:], known[1:], strict=True)))
    quotient = known[0] / pooled * math.sqrt(rest)
    return fisher.two_sided_p(quotient * quotient, df, rest) < alpha
