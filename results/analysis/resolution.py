"""What a sweep will be able to show, before it is run: by the deviations between seeds of a store's earlier runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Sequence

import msgspec

from optathlon.results.plan import Column, Plan
from optathlon.results.record import Record
from optathlon.results.scores import Unusable, value
from optathlon.results.statistics.planner import POWER, pooled_deviation

DEVIATIONS = 3.0
"""For how large a true difference the expected number of runs is told."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The least difference to the baseline that so many seeds of both find with a chance of 80 %, on one task."""

    task: str
    metric: str
    unit: str
    seeds: int
    difference: float | None
    """In the metric's unit; None if no deviation is known."""
    deviation: float | None
    """Between seeds of one setting, pooled over the settings of earlier runs."""
    runs: int
    """How many earlier runs that is of."""
    same_problem: bool
    """Whether they are of this very problem; if not, of the task at this scale by another protocol or on other data."""


class LookedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """How many report runs a sweep with looks may come to."""

    looks: list[int]
    least: int
    """If all is decided at the first look."""
    expected: int
    """If every row differs from the baseline by three seed deviations."""
    most: int


def resolutions(plan: Plan, records: Iterable[Record]) -> list[Shown]:
    """Returns what each task of `plan` can show, with its report seeds, or with those of its first and last look.

    At the level that Holm asks of the smallest p of all comparisons of the plan (docs/statistics.md).
    """
    rows, columns = len(plan.head.rows), len(plan.head.columns)
    if rows < 2:
        return []
    # Only here, as SciPy and NumPy take longer to import than a plan to read.
    from optathlon.results.statistics.moderated.looks import shares
    from optathlon.results.statistics.moderated.planned_power import resolution

    looks = plan.head.looks or [_report_seeds(plan)]
    of_look = dict(zip(looks, shares(looks), strict=True))
    deviations = {
        seeds: resolution(rows, columns, seeds, POWER, of_look[seeds]) for seeds in {looks[0], looks[-1]} if seeds > 1
    }
    known, lines = list(records), []
    for column in plan.head.columns:
        deviation, runs, same = _deviation(plan, column, known)
        for seeds in dict.fromkeys((looks[0], looks[-1])):
            in_deviations = deviations.get(seeds)
            lines.append(
                Shown(
                    task=column.label,
                    metric=column.metric,
                    unit=column.unit,
                    seeds=seeds,
                    difference=deviation * in_deviations if deviation is not None and in_deviations else None,
                    deviation=deviation,
                    runs=runs,
                    same_problem=same,
                )
            )
    return lines


def looked_runs(plan: Plan) -> LookedRuns | None:
    """Returns how many report runs `plan` may come to; None for a plan without looks."""
    if not plan.head.looks:
        return None
    from optathlon.results.statistics.moderated.planned_power import expected_seeds

    looks, rows, columns = plan.head.looks, len(plan.head.rows), len(plan.head.columns)
    of_row = expected_seeds(rows, columns, looks, DEVIATIONS)
    of_baseline = expected_seeds(rows, columns, looks, DEVIATIONS, comparisons=rows - 1)
    return LookedRuns(
        looks=looks,
        least=rows * columns * looks[0],
        expected=round(columns * ((rows - 1) * of_row + of_baseline)),
        most=rows * columns * looks[-1],
    )


def _report_seeds(plan: Plan) -> int:
    return len({run.seed for run in plan.runs if run.role == "report"})


def _deviation(plan: Plan, column: Column, records: Sequence[Record]) -> tuple[float | None, int, bool]:
    """Between seeds of one setting, pooled; of how many runs; and whether they are of the column's own problem."""
    problem = plan.head.problems[column.problem]
    same = [record for record in records if record.digests.problem == column.problem]
    alike = [r for r in records if all(r.problem.get(key) == problem.get(key) for key in ("task", "scale"))]
    for runs, own in ((same, True), (alike, False)):
        samples = _samples(column, runs)
        if (deviation := pooled_deviation(samples)) is not None:
            return deviation, sum(map(len, samples)), own
    return None, 0, False


def _samples(column: Column, records: Iterable[Record]) -> list[list[float]]:
    """The scores of at least two seeds of a setting on a problem, for each of those."""
    groups: dict[tuple[str, str], list[float]] = {}
    for record in records:
        with contextlib.suppress(Unusable):
            score = value(record, column.metric, column.higher_is_better, column.unit)
            if score is not None:
                groups.setdefault((record.digests.problem, record.digests.setting), []).append(score)
    return [scores for scores in groups.values() if len(scores) > 1]
