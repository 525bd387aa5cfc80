"""Two rows of a board, task by task and over all tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from optathlon.results.board.cell import Cell
from optathlon.results.board.marks import RowDifferences, row_differences
from optathlon.results.board.model import Leaderboard
from optathlon.results.board.row import BoardRow
from optathlon.results.errors import StoreError
from optathlon.results.hyperparameter_text import differing
from optathlon.results.plan import Column
from optathlon.results.statistics.difference import Difference
from optathlon.results.statistics.holm import holm
from optathlon.results.statistics.improvement import probability_of_improvement
from optathlon.results.statistics.paired import MOST_FLIPS, correlation, differences, paired_t, sign_flip, smallest_p
from optathlon.results.statistics.planner import pooled_deviation
from optathlon.results.statistics.standardized import mean_standardized
from optathlon.results.statistics.welch import welch
from optathlon.results.statistics.wilcoxon import wilcoxon

ROUNDING = 1e-12
"""A difference of means below this share of the larger is rounding."""


class OnTask(msgspec.Struct, frozen=True, kw_only=True):
    """`a` less `b` on one task."""

    task: str
    metric: str
    unit: str
    higher_is_better: bool
    digits: int
    a: Cell
    b: Cell
    settings: dict[str, tuple[Any, Any]]
    """The hyperparameters in which they differ."""
    verdict: Literal["a", "b", "not separable", "not tested", "not comparable"] = "not comparable"
    """By p_holm and the column's direction; "not tested" with one seed or no spread, "not comparable" where a cell is
    not complete or a seed diverged."""
    difference: Difference | None = None
    """By the noise of the whole board, as its marks are (docs/statistics.md)."""
    welch: Difference | None = None
    """Of the two cells alone."""
    p_holm: float | None = None
    """The p of `difference` adjusted over the tasks compared."""
    seeds: int = 0
    """How many both have."""
    paired: Difference | None = None
    """By the common seeds."""
    flips: float | None = None
    """The exact sign-flip p of the common seeds."""
    smallest_flips: float | None = None
    """The least that flips could be with so many seeds."""
    correlation: float | None = None
    """Between the runs of one seed: pairing pays where it is high."""
    improvement: float | None = None
    """P(a run of `a` is better than one of `b`)."""


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two rows on all columns."""

    board: str
    a: str
    b: str
    tasks: list[OnTask]
    wins: int
    losses: int
    """Tasks on which `a` is shown to be better, or worse."""
    ties: int
    """The rest of those that are compared."""
    standardized: Difference | None
    """The mean over tasks of the difference in the task's deviation between seeds, better is positive, with its
    interval and p on tasks like these."""
    scale: Literal["units", "seed deviations"]
    """What wilcoxon ranks: differences in the columns' unit if they share one, else in seed deviations."""
    wilcoxon: float | None
    """p over the tasks' mean differences, signed so that better is positive."""
    wilcoxon_least: float | None
    """The least that wilcoxon could be over so many tasks."""
    improvement: float | None
    """Mean over tasks."""
    alpha: float
    looks: list[int] = []
    """Numbers of seeds at which the board tests. What is here is tested once, at the whole of `alpha`, and may show
    what no look has decided."""


def compare(board: Leaderboard, a: str, b: str) -> Comparison:
    """Rows `a` and `b` of `board`; StoreError, with the rows there are, if it lacks one."""
    return compare_all(board, [a], b)[0]


def compare_all(board: Leaderboard, names: Sequence[str], b: str) -> list[Comparison]:
    """Each of the rows `names` with row `b`, as `compare` has it: the noise of the board is fitted once."""
    rows = {row.name: row for row in board.rows}
    for name in (*names, b):
        if name not in rows:
            raise StoreError(f"{board.name}: has no row {name!r} (it has {', '.join(rows)})")
    places, grid = list(rows), [list(row.cells) for row in board.rows]
    differences = row_differences(board.columns, grid, [places.index(name) for name in names], places.index(b))
    return [_compared(board, rows[a], rows[b], whole) for a, whole in zip(names, differences, strict=True)]


def _compared(board: Leaderboard, a: BoardRow, b: BoardRow, whole: RowDifferences) -> Comparison:
    tasks = [_on_task(*parts) for parts in zip(board.columns, a.cells, b.cells, strict=True)]
    tasks = [msgspec.structs.replace(task, difference=d) for task, d in zip(tasks, whole.differences, strict=True)]
    adjusted = holm([task.difference.p if task.difference else None for task in tasks])
    tasks = [_judged(task, p, board.alpha) for task, p in zip(tasks, adjusted, strict=True)]
    compared = [task for task in tasks if task.welch]
    gains = [_gain(task) for task in compared]
    scale, scaled = _scaled(compared, gains)
    chances = [task.improvement for task in compared if task.improvement is not None]
    won, lost = (sum(task.verdict == row for task in tasks) for row in ("a", "b"))
    return Comparison(
        board=board.name,
        looks=board.looks,
        a=a.name,
        b=b.name,
        tasks=tasks,
        wins=won,
        losses=lost,
        ties=len(compared) - won - lost,
        standardized=_standardized(tasks, whole.deviations, board.alpha),
        scale=scale,
        wilcoxon=wilcoxon(scaled) if scaled else None,
        wilcoxon_least=smallest_p("wilcoxon", len(scaled)) if scaled else None,
        improvement=math.fsum(chances) / len(chances) if chances else None,
        alpha=board.alpha,
    )


def _standardized(tasks: Sequence[OnTask], deviations: Sequence[float | None], alpha: float) -> Difference | None:
    """None if a task that is compared has no spread to measure by: a mean over fewer would be another number."""
    compared = [(task, deviation) for task, deviation in zip(tasks, deviations, strict=True) if task.welch]
    gaps = [_gain(task) / spread for task, spread in compared if spread]
    return mean_standardized(gaps, 1 - alpha) if gaps and len(gaps) == len(compared) else None


def _on_task(column: Column, a: Cell, b: Cell) -> OnTask:
    keys = differing([a.hyperparameters, b.hyperparameters])
    task = OnTask(
        task=column.label,
        metric=column.metric,
        unit=column.unit,
        higher_is_better=column.higher_is_better,
        digits=column.digits,
        a=a,
        b=b,
        settings={key: (a.hyperparameters.get(key), b.hyperparameters.get(key)) for key in keys},
    )
    if not (a.comparable and b.comparable and a.status == b.status == "complete"):
        return task
    of_a, of_b = _by_seed(a), _by_seed(b)
    pairs = differences(of_a, of_b)
    return msgspec.structs.replace(
        task,
        welch=welch(a.finite, b.finite),
        seeds=len(pairs),
        paired=paired_t(pairs) if pairs else None,
        flips=sign_flip(pairs) if 0 < len(pairs) <= MOST_FLIPS else None,
        smallest_flips=smallest_p("sign-flip", len(pairs)) if pairs else None,
        correlation=correlation(of_a, of_b),
        improvement=probability_of_improvement([a.finite], [b.finite], [column.higher_is_better]),
    )


def _by_seed(cell: Cell) -> dict[int, float]:
    return {s: v for s, v in zip(cell.seeds, cell.values, strict=True) if v is not None}


def _judged(task: OnTask, p_holm: float | None, alpha: float) -> OnTask:
    if task.welch is None:
        return task
    if p_holm is None:
        return msgspec.structs.replace(task, verdict="not tested")
    better: Literal["a", "b"] = "a" if _sign(task) * task.welch.delta > 0 else "b"
    return msgspec.structs.replace(task, p_holm=p_holm, verdict=better if p_holm < alpha else "not separable")


def _gain(task: OnTask) -> float:
    """How much better `a` is; 0 where its mean differs by no more than rounding, which no count or rank may see."""
    delta = task.welch.delta if task.welch else 0.0
    largest = max(abs(task.a.mean or 0.0), abs(task.b.mean or 0.0))
    return _sign(task) * delta if abs(delta) > ROUNDING * largest else 0.0


def _sign(task: OnTask) -> float:
    return 1.0 if task.higher_is_better else -1.0


def _scaled(tasks: Sequence[OnTask], gains: Sequence[float]) -> tuple[Literal["units", "seed deviations"], list[float]]:
    """The gains in one unit; none if they share no unit and a task has no spread to measure by."""
    if len({(task.metric, task.unit) for task in tasks}) <= 1:
        return "units", list(gains)
    spreads = [pooled_deviation([task.a.finite, task.b.finite]) for task in tasks]
    if not all(spreads):
        return "seed deviations", []
    return "seed deviations", [gain / spread for gain, spread in zip(gains, spreads, strict=True) if spread]
