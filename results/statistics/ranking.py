"""Mean ranks over tasks, whether they differ at all (Friedman), and by how much they must (Nemenyi)."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from optathlon.results.statistics.summary import ranks


def mean_ranks(keys: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """For each optimizer its mean rank over tasks, 1 for the smallest key of a task; ties share ranks.

    keys: one value a task, smaller is better, infinity where it diverged. ValueError on NaN or unequal lengths.
    """
    lengths = {len(values) for values in keys.values()}
    if len(lengths) > 1 or any(math.isnan(v) for values in keys.values() for v in values):
        raise ValueError("every optimizer needs a value on every task")
    tasks = zip(*keys.values(), strict=True)
    per_task = [ranks([(value,) for value in task]) for task in tasks]
    if not per_task:
        raise ValueError("no task")
    return {name: math.fsum(task[i] for task in per_task) / len(per_task) for i, name in enumerate(keys)}


def friedman(keys: Mapping[str, Sequence[float]]) -> float | None:
    """p of Friedman's test that all optimizers rank alike; None of fewer than three, or where all tie.

    It takes ranks and corrects for ties, so that infinity (diverged) is a value like another.
    """
    mean_ranks(keys)
    columns = [ranks([(v,) for v in task]) for task in zip(*keys.values(), strict=True)]
    if len(keys) < 3 or all(len(set(task)) == 1 for task in columns):
        return None
    from scipy.stats import friedmanchisquare

    return float(friedmanchisquare(*zip(*columns, strict=True)).pvalue)


@functools.cache
def critical_difference(optimizers: int, tasks: int, alpha: float = 0.05) -> float:
    """By how much two mean ranks must differ, q √(k (k + 1) / 6 N) (Nemenyi; Demšar 2006, section 3.2.2)."""
    from scipy.stats import studentized_range

    q = float(studentized_range.ppf(1 - alpha, optimizers, math.inf)) / math.sqrt(2)
    return q * math.sqrt(optimizers * (optimizers + 1) / (6 * tasks))


def cliques(ranked: Mapping[str, float], difference: float) -> list[list[str]]:
    """The largest groups, two members at least, whose ranks lie within `difference`: the bars of the diagram."""
    names = sorted(ranked, key=lambda name: (ranked[name], name))
    groups: list[list[str]] = []
    last = 0
    for start, name in enumerate(names):
        end = max(i for i, other in enumerate(names) if ranked[other] - ranked[name] <= difference) + 1
        if end > last and end - start > 1:
            groups.append(names[start:end])
            last = end
    return groups
