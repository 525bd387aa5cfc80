"""How far a tuning that is repeated with other seeds would move what an optimizer comes to: a variance component.

A board of settings that were chosen once compares those settings. That another tuning might have chosen others, better
or worse ones, no report seed shows; the runs of the tuning do, in part.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from optathlon.results.statistics.shrinkage import shrunken
from optathlon.results.statistics.summary import mean

_STEP, _REACH = 0.4, 5.0
"""Of the integral, in standard errors. The trapezoidal rule converges so fast on normal curves that a finer step
changes no digit that is shown; the largest of all is hardly ever further below the best of the true scores."""


def deviation_of_choice(scores: Sequence[Sequence[float]]) -> float | None:
    """The deviation of the true score of the setting that is chosen, over tunings repeated with other seeds.

    scores: of each setting, one per tuning seed, higher is better. They are taken as setting + seed + noise: the noise
    is what a two-way analysis of variance leaves, the true scores are the means drawn together by it (Morris 1983), and
    each setting is chosen as often as it would be the best of all with the noise of so many seeds (a parametric
    bootstrap, Efron 1979, by an integral in place of draws). None without two settings and two seeds.
    """
    seeds = len(scores[0]) if scores else 0
    if len(scores) < 2 or seeds < 2:
        return None
    error = math.sqrt(_noise(scores) / seeds)
    means = [mean(of_setting) or 0.0 for of_setting in scores]
    true = shrunken(means, [error] * len(means))
    shares = _chosen(true, error)
    center = math.fsum(share * value for share, value in zip(shares, true, strict=True))
    return math.sqrt(math.fsum(share * (value - center) ** 2 for share, value in zip(shares, true, strict=True)))


def deviation_of_winners(scores: Mapping[str, Sequence[float]]) -> float | None:
    """The same of report scores by the setting that each seed chose for itself.

    The component between settings of a one-way analysis of variance with unequal group sizes, (MSB - MSW) / n0 with
    n0 = (N - Σn²/N) / (k - 1), 0 if that is negative (Searle, Casella and McCulloch 1992, section 3.6). None unless
    there are two settings, and one of them has two seeds.
    """
    groups = [list(values) for values in scores.values() if values]
    count = sum(map(len, groups))
    if len(groups) < 2 or count == len(groups):
        return None
    center = mean([value for values in groups for value in values]) or 0.0
    means = [mean(values) or 0.0 for values in groups]
    within = math.fsum((v - m) ** 2 for values, m in zip(groups, means, strict=True) for v in values)
    between = math.fsum(len(values) * (m - center) ** 2 for values, m in zip(groups, means, strict=True))
    size = (count - sum(len(values) ** 2 for values in groups) / count) / (len(groups) - 1)
    component = (between / (len(groups) - 1) - within / (count - len(groups))) / size
    return math.sqrt(max(0.0, component))


def _noise(scores: Sequence[Sequence[float]]) -> float:
    """The variance that is neither the settings' nor the seeds'."""
    rows = [mean(of_setting) or 0.0 for of_setting in scores]
    columns = [mean(of_seed) or 0.0 for of_seed in zip(*scores, strict=True)]
    center = mean(rows) or 0.0
    left = (
        value - row - column + center
        for of_setting, row in zip(scores, rows, strict=True)
        for value, column in zip(of_setting, columns, strict=True)
    )
    return math.fsum(value * value for value in left) / ((len(rows) - 1) * (len(columns) - 1))


def _chosen(true: Sequence[float], error: float) -> list[float]:
    """How often each of `true` is the largest once normal noise of deviation `error` is added: ∫ φ Π Φ."""
    best = max(true)
    if error <= 0:
        return [float(value == best) / sum(other == best for other in true) for value in true]
    near = [i for i, value in enumerate(true) if best - value < 2 * _REACH * error]
    steps = round(_REACH / _STEP)
    shares = [0.0] * len(true)
    for step in range(-steps, steps + 1):
        z = [(best - true[i]) / error + _STEP * step for i in near]
        below = [max(0.5 * math.erfc(-value / math.sqrt(2)), 1e-300) for value in z]
        product = math.exp(math.fsum(map(math.log, below)))
        for i, value, share in zip(near, z, below, strict=True):
            shares[i] += math.exp(-value * value / 2) * product / share
    total = math.fsum(shares)
    return [share / total for share in shares]
