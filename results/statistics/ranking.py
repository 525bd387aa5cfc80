"""Mean ranks over tasks, whether they differ at all (Friedman), and by how much they must (Nemenyi)."""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Mapping, Sequence

from optathlon.results.statistics.summary import ranks
from optathlon.results.statistics.tails.chi_square import chi_square_tail
from optathlon.results.statistics.tails.studentized_range import range_quantile


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

    12 (k - 1) Σ (R - N (k + 1) / 2)² / (N k (k² - 1) - Σ (t³ - t)) is taken for a chi-square with k - 1 degrees of
    freedom, with the k sums R of ranks over N tasks and the sizes t of the groups that tie on a task (Conover 1999,
    section 5.8). As it takes ranks, infinity (diverged) is a value like another.
    """
    mean_ranks(keys)
    count, tasks = len(keys), list(zip(*keys.values(), strict=True))
    groups = [tied for task in tasks for tied in Counter(task).values()]
    free = len(tasks) * count * (count**2 - 1) - sum(tied**3 - tied for tied in groups)
    if count < 3 or not free:
        return None
    per_task = [ranks([(value,) for value in task]) for task in tasks]
    sums = [math.fsum(of_one) for of_one in zip(*per_task, strict=True)]
    squares = math.fsum((total - len(tasks) * (count + 1) / 2) ** 2 for total in sums)
    return chi_square_tail(12 * (count - 1) * squares / free, count - 1)


@functools.cache
def critical_difference(optimizers: int, tasks: int, alpha: float = 0.05) -> float:
    """By how much two mean ranks must differ, q √(k (k + 1) / 6 N) (Nemenyi; Demšar 2006, section 3.2.2)."""
    q = range_quantile(alpha, optimizers) / math.sqrt(2)
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
