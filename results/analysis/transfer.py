"""Whether a setting carries over: chosen on the other tasks, how much worse it is here than what is best here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from optathlon.results.analysis.tuning import seed_deviation
from optathlon.results.plan import Column
from optathlon.results.record import flat, hyperparameters
from optathlon.results.statistics.summary import mean
from optathlon.results.sweep_results import SweepResults


class TaskScores(msgspec.Struct, frozen=True, kw_only=True):
    """What the settings of one optimizer came to on one task."""

    column: Column
    metric: str
    higher_is_better: bool
    seeds: int
    """Of one setting."""
    deviation: float | None
    """Between seeds of one setting, pooled over the task; None where no setting has two."""
    means: dict[str, float]
    """By digest of a setting; of those without a diverged seed."""

    def regret(self, setting: str) -> float:
        """How much worse than the best a setting is, in deviations between seeds; infinite where it diverged."""
        if setting not in self.means:
            return math.inf
        sign = 1.0 if self.higher_is_better else -1.0
        best = max(sign * value for value in self.means.values())
        return (best - sign * self.means[setting]) / (self.deviation or math.inf)


class Carried(msgspec.Struct, frozen=True, kw_only=True):
    """A task, and the setting that all other tasks would choose for it."""

    task: str
    metric: str
    setting: str
    hyperparameters: dict[str, Any]
    """Of the setting that has the least mean regret on the other tasks, where it differs from others tried."""
    regret: float | None
    """On this task, in deviations between seeds; None where it diverged."""
    random: float | None
    """The mean regret of all settings: what a setting drawn at random would have; None if one diverged."""
    luck: float
    """What the regret would be of settings that are all equal, as the best of several is best by luck, too."""
    kept: bool
    """Whether it is the very setting that is best here."""


class Transfer(msgspec.Struct, frozen=True, kw_only=True):
    """How the settings of one optimizer carry over between tasks."""

    row: str
    """The optimizer's name where the sweep tunes nothing and each setting is a row."""
    settings: int
    """How many were tried on every task."""
    tasks: list[Carried]
    mean_regret: float | None
    """Over the tasks; None where a setting diverged on the task that it was not chosen on."""
    one: str
    """The setting with the least mean regret over all tasks."""
    one_hyperparameters: dict[str, Any]
    one_regrets: list[float | None]
    """Its regret on each task: what one setting for all tasks costs."""
    on_test: bool
    """The scores are test scores, as nothing was tuned: regrets are then too small."""


class LeftOut(msgspec.Struct, frozen=True, kw_only=True):
    """A row of which nothing can be said."""

    row: str
    why: str


def transfer(results: SweepResults) -> tuple[list[Transfer], list[LeftOut]]:
    """How each optimizer's settings carry over, leaving out one task at a time, and the rows that lack the runs.

    With tuning, scores are validation means over the tuning seeds of cells whose tuning is complete. Without, they are
    the board's means of the rows of one optimizer. Only settings that were tried on every task count, and only tasks
    with a deviation between seeds. The setting chosen for a task has the least mean regret on the others; a setting
    that diverged on one of those is not chosen.
    """
    transfers: list[Transfer] = []
    left_out: list[LeftOut] = []
    tuned = bool(results.winners)
    for row, tasks in (_tuned(results) if tuned else _shown(results)).items():
        known = [task for task in tasks if task.deviation]
        common = _tried_everywhere(results, row, known, tuned)
        if len(known) < 2:
            left_out.append(LeftOut(row=row, why="fewer than two tasks on which its settings finished with two seeds"))
        elif len(common) < 2:
            left_out.append(LeftOut(row=row, why="fewer than two settings that were tried on every task"))
        elif not any(math.isfinite(_summed_regret(known, setting)) for setting in common):
            left_out.append(LeftOut(row=row, why="every setting diverged on one of the tasks"))
        else:
            transfers.append(_of_row(results, row, known, common, not tuned))
    return transfers, left_out


def _tuned(results: SweepResults) -> dict[str, list[TaskScores]]:
    """By row, the validation means of all settings of each task whose tuning is complete."""
    by_row: dict[str, list[TaskScores]] = {}
    winners = results.winners
    for column in results.plan.head.columns:
        if column.selection is None:
            continue
        higher = bool(column.selection_higher_is_better)
        deviation = seed_deviation(results.records.values(), column, column.selection, higher)
        seeds = {(run.row, run.setting, run.seed) for run in results.plan.runs if run.role == "tune"}
        for row in results.plan.head.rows:
            if not (winner := winners.get((row.name, column.name))) or not winner.complete:
                continue
            means = {c.setting: c.mean for c in winner.candidates if c.mean is not None and not c.n_diverged}
            scores = TaskScores(
                column=column,
                metric=column.selection,
                higher_is_better=higher,
                seeds=len({seed for name, _, seed in seeds if name == row.name}),
                deviation=deviation,
                means=means,
            )
            by_row.setdefault(row.name, []).extend([scores] if means else [])
    return by_row


def _shown(results: SweepResults) -> dict[str, list[TaskScores]]:
    """By optimizer, the board's means of its rows on each task."""
    by_optimizer: dict[str, list[TaskScores]] = {}
    for at, column in enumerate(results.board.columns):
        deviation = seed_deviation(results.records.values(), column, column.metric, column.higher_is_better)
        for optimizer in dict.fromkeys(row.optimizer for row in results.board.rows):
            cells = [row.cells[at] for row in results.board.rows if row.optimizer == optimizer]
            whole = [cell for cell in cells if cell.status == "complete" and cell.comparable]
            scores = TaskScores(
                column=column,
                metric=column.metric,
                higher_is_better=column.higher_is_better,
                seeds=max((cell.n for cell in whole), default=0),
                deviation=deviation,
                means={cell.setting: cell.mean for cell in whole if cell.setting and cell.mean is not None},
            )
            by_optimizer.setdefault(optimizer, []).extend([scores] if whole else [])
    return by_optimizer


def _tried_everywhere(results: SweepResults, row: str, tasks: Iterable[TaskScores], tuned: bool) -> list[str]:
    """The settings of a row, or optimizer, that the plan has on each of `tasks`, in the plan's order."""
    optimizers = {r.name: r.optimizer for r in results.plan.head.rows}
    by_task: dict[str, dict[str, None]] = {}
    for run in results.plan.runs:
        if (run.row if tuned else optimizers[run.row]) == row:
            by_task.setdefault(run.column, {})[run.setting] = None
    columns = [by_task.get(task.column.name, {}) for task in tasks]
    return [s for s in columns[0] if all(s in tried for tried in columns)] if columns else []


def _of_row(
    results: SweepResults, row: str, tasks: Sequence[TaskScores], settings: Sequence[str], on_test: bool
) -> Transfer:
    tried = {setting: _flat(results.plan.head.settings[setting]) for setting in settings}
    varied = [key for key in next(iter(tried.values())) if len({str(values.get(key)) for values in tried.values()}) > 1]
    words = {setting: {key: values.get(key) for key in varied} for setting, values in tried.items()}
    carried = [_carried(task, [other for other in tasks if other is not task], settings, words) for task in tasks]
    best_for_all = _best(tasks, settings)
    regrets = [task.regret for task in carried]
    return Transfer(
        row=row,
        settings=len(settings),
        tasks=carried,
        mean_regret=None if None in regrets else mean([regret for regret in regrets if regret is not None]),
        one=best_for_all,
        one_hyperparameters=words[best_for_all],
        one_regrets=[_finite(task.regret(best_for_all)) for task in tasks],
        on_test=on_test,
    )


def _carried(
    task: TaskScores, others: Sequence[TaskScores], settings: Sequence[str], words: Mapping[str, dict[str, Any]]
) -> Carried:
    chosen = _best(others, settings)
    regrets = [task.regret(setting) for setting in settings]
    return Carried(
        task=task.column.label,
        metric=task.metric,
        setting=chosen,
        hyperparameters=words[chosen],
        regret=_finite(task.regret(chosen)),
        random=_finite(math.fsum(regrets) / len(regrets)),
        luck=expected_maximum(len(task.means)) / math.sqrt(max(1, task.seeds)),
        kept=task.regret(chosen) == 0,
    )


def _best(tasks: Sequence[TaskScores], settings: Sequence[str]) -> str:
    """The setting with the least mean regret on `tasks`; of equals the first in the plan."""
    return min(settings, key=lambda setting: _summed_regret(tasks, setting))


def _summed_regret(tasks: Sequence[TaskScores], setting: str) -> float:
    return math.fsum(task.regret(setting) for task in tasks)


def expected_maximum(count: int) -> float:
    """How far the largest of `count` standard normal numbers lies above 0, on the mean."""
    if count < 2:
        return 0.0
    step = 1 / 256
    grid = [step * i for i in range(-9 * 256, 9 * 256 + 1)]
    # E max = ∫ 1 - Φ(x)ⁿ over x > 0, less ∫ Φ(x)ⁿ over x < 0.
    power = [(math.erfc(-x / math.sqrt(2)) / 2) ** count for x in grid]
    return step * math.fsum((1 - p if x > 0 else 0.5 - p if x == 0 else -p) for x, p in zip(grid, power, strict=True))


def _flat(setting: Mapping[str, Any]) -> dict[str, Any]:
    return hyperparameters(setting) | flat(setting.get("protocol", {}), "protocol.")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
