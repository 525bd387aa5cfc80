"""What tuning came to: the expected best of k settings, and how wide the region of good rates is."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec

from optathlon.results.board.model import Leaderboard
from optathlon.results.board.selection import Candidate
from optathlon.results.hyperparameter_text import short
from optathlon.results.plan import Column
from optathlon.results.record import Record, hyperparameters
from optathlon.results.scores import Unusable, value
from optathlon.results.statistics.planner import pooled_deviation
from optathlon.results.statistics.tuning.budget import budget_curve, tunability
from optathlon.results.statistics.tuning.robustness import Region, good_region
from optathlon.results.sweep_results import SweepResults

RATE = "lr"
DEVIATIONS = 2.0
Estimator = Literal["tang", "dodge"]
SOURCES: dict[Estimator, str] = {"tang": "Tang et al. 2020", "dodge": "Dodge et al. 2019, too low near the last k"}


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What the best of k settings, drawn at random from those tried, is expected to reach on validation."""

    task: str
    row: str
    metric: str
    unit: str
    higher_is_better: bool
    best: list[float]
    """For k = 1, 2, ..."""
    tunability: float
    """The mean of `best`, in which early ones weigh more."""
    estimator: Estimator
    diverged: int
    """Settings with a diverged seed, which count as the worst that any row reached on the task without."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of one row by learning rate, the best over whatever else was tuned with it."""

    task: str
    row: str
    """As the board has it; where nothing was selected, without its rate."""
    metric: str
    unit: str
    higher_is_better: bool
    scores: dict[float, float | None]
    """None where it diverged."""
    tolerance: float | None
    """How far from the best score is still good."""
    region: Region | None
    """Where it is good; None if nowhere."""


def budgets(results: SweepResults, estimator: Estimator = "tang") -> list[Budget]:
    """The tuning budget of each cell whose tuning is complete, task by task, as `expected_best` has it."""
    chosen = results.winners
    listed = []
    for column in results.plan.head.columns:
        tuned = {
            row.name: winner.candidates
            for row in results.plan.head.rows
            if (winner := chosen.get((row.name, column.name))) and winner.complete and len(winner.candidates) > 1
        }
        whole = [c.mean for candidates in tuned.values() for c in candidates if c.mean is not None and not c.n_diverged]
        if whole:
            worst = min(whole) if column.selection_higher_is_better else max(whole)
            listed += [_budget(results, column, row, of_row, worst, estimator) for row, of_row in tuned.items()]
    return listed


def _budget(
    results: SweepResults, column: Column, row: str, candidates: Sequence[Candidate], worst: float, estimator: Estimator
) -> Budget:
    scores = [worst if c.mean is None or c.n_diverged else c.mean for c in candidates]
    curve = budget_curve(scores, bool(column.selection_higher_is_better), estimator)
    return Budget(
        task=column.label,
        row=row,
        metric=column.selection or "",
        unit=_unit(results.records.values(), column),
        higher_is_better=bool(column.selection_higher_is_better),
        best=curve,
        tunability=tunability(curve),
        estimator=estimator,
        diverged=sum(c.mean is None or c.n_diverged > 0 for c in candidates),
    )


def rates(results: SweepResults, tolerance: float | None = None) -> list[Rates]:
    """The rate sensitivity of each row that tried several rates, task by task.

    With tuning seeds it is of validation scores; without, of what the board shows, and nothing is picked by it.
    tolerance: in the units of the score; by default twice the deviation between seeds of one setting, pooled over the
    task, or none where no setting has two seeds.
    """
    by_problem: dict[str, list[Record]] = {column.problem: [] for column in results.plan.head.columns}
    for record in results.records.values():
        by_problem.setdefault(record.digests.problem, []).append(record)
    columns = results.plan.head.columns
    return [found for c in columns for found in _rates(results, c, tolerance, by_problem[c.problem])]


def _rates(
    results: SweepResults, column: Column, tolerance: float | None, records: Sequence[Record]
) -> Iterable[Rates]:
    if column.selection is None or not any(name == column.name for _, name in results.winners):
        lines, metric, higher = _shown(results.board, column), column.metric, column.higher_is_better
        unit = column.unit
    else:
        lines, metric, higher = _tuned(results, column), column.selection, bool(column.selection_higher_is_better)
        unit = _unit(records, column)
    if tolerance is None:
        spread = seed_deviation(records, column, metric, higher)
        tolerance = None if spread is None else DEVIATIONS * spread
    for row, scores in lines.items():
        if len(scores) > 1:
            yield Rates(
                task=column.label,
                row=row,
                metric=metric,
                unit=unit,
                higher_is_better=higher,
                scores=scores,
                tolerance=tolerance,
                region=None if tolerance is None else good_region(scores, tolerance, higher),
            )


def _tuned(results: SweepResults, column: Column) -> dict[str, dict[float, float | None]]:
    """For each row the best validation mean at each rate."""
    lines: dict[str, dict[float, float | None]] = {}
    for (row, name), winner in results.winners.items():
        if name == column.name:
            for candidate in reversed(winner.candidates):  # best first: the last one written is the best
                rate = hyperparameters(results.plan.head.settings[candidate.setting]).get(RATE)
                if (known := _rate(rate)) is not None:
                    whole = candidate.mean is not None and not candidate.n_diverged
                    lines.setdefault(row, {})[known] = candidate.mean if whole else None
    return {row: dict(sorted(scores.items())) for row, scores in lines.items()}


def _shown(board: Leaderboard, column: Column) -> dict[str, dict[float, float | None]]:
    """For the rows that differ in nothing but the rate, the board's means by it."""
    at = [c.name for c in board.columns].index(column.name)
    lines: dict[str, dict[float, float | None]] = {}
    for row in board.rows:
        cell = row.cells[at]
        rate = cell.hyperparameters.get(RATE)
        if cell.status in ("complete", "diverged") and (known := _rate(rate)) is not None:
            name = row.name.replace(f" {RATE}={short(rate)}", "", 1)
            lines.setdefault(name, {})[known] = cell.mean if cell.comparable else None
    return {row: dict(sorted(scores.items())) for row, scores in lines.items()}


def _rate(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def seed_deviation(records: Iterable[Record], column: Column, metric: str, higher: bool) -> float | None:
    """Between seeds of one setting, pooled over the settings of a task."""
    by_setting: dict[str, list[float]] = {}
    for record in records:
        if record.digests.problem == column.problem and any(score.name == metric for score in record.scores):
            with contextlib.suppress(Unusable):
                score = value(record, metric, higher)
                if score is not None:
                    by_setting.setdefault(record.digests.setting, []).append(score)
    return pooled_deviation(by_setting.values())


def _unit(records: Iterable[Record], column: Column) -> str:
    """The unit of the score that selects in `column`."""
    scores = (s for r in records if r.digests.problem == column.problem for s in r.scores)
    return next((score.unit for score in scores if score.name == column.selection), "")


def lines_by_task(lines: Iterable[Budget | Rates]) -> Mapping[str, list[Any]]:
    """`lines` by their task, in order."""
    found: dict[str, list[Any]] = {}
    for line in lines:
        found.setdefault(line.task, []).append(line)
    return found
