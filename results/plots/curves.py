"""Learning curves: for each task the mean over seeds and what they span, or the difference to the baseline."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

import msgspec

from optathlon.results.analysis.learning_curves import (
    Band,
    band,
    difference,
    direction_of,
    shown_curve,
    start,
    values,
    window,
)
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import TooLittle
from optathlon.results.plan import Column
from optathlon.results.plots.style import (
    label_ends,
    label_once,
    legend,
    looks,
    named,
    panels,
    score_label,
    short,
    title,
    whole_numbers,
    y_label,
)
from optathlon.results.record import Record

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TaskCurves(msgspec.Struct, frozen=True, kw_only=True):
    """The curves that are drawn of one task."""

    task: str
    """The label of the task's column."""
    metric: str
    """The curve's name as recorded, "validation/accuracy"."""
    unit: str
    higher_is_better: bool | None
    """None of a curve that is no score: a norm, a step."""
    time: str
    """The unit of the time axis, "epochs" or "steps"."""
    bands: dict[str, Band]
    """By row."""
    lost: list[str]
    """Rows that have the curve, but no point that can be drawn."""


def task_curves(
    board: Leaderboard, records: Mapping[str, Record], metric: str | None = None, to_baseline: bool = False
) -> list[TaskCurves]:
    """What there is to draw, task by task. records: those of the board's cells, with curves.

    metric: a curve by name, "train/loss"; by default each task's headline if it was measured while training, else its
    validation twin. to_baseline: less the baseline, seed by seed. TooLittle, with the curves there are, of nothing.
    """
    if to_baseline and board.baseline is None:
        raise TooLittle(f"{board.name}: differences need a baseline among the rows shown")
    by_task = [curves for column in board.columns if (curves := _task(board, column, records, metric, to_baseline))]
    if not any(curves.bands for curves in by_task):
        there = sorted({name for record in records.values() for name in record.curve.points})
        what = f"no curve {metric!r}" if metric else "no curve of a score" if there else "no finished run with a curve"
        known = f"; there are {', '.join(there)}" if there else ""
        raise TooLittle(f"{board.name}: {what}{' that can be compared' if to_baseline else ''}{known}")
    return [curves for curves in by_task if curves.bands]


def _task(
    board: Leaderboard, column: Column, records: Mapping[str, Record], metric: str | None, to_baseline: bool
) -> TaskCurves | None:
    at = board.columns.index(column)
    runs = {row.name: [records[run] for run in row.cells[at].runs if run in records] for row in board.rows}
    records_shown = [record for of_row in runs.values() for record in of_row]
    name = metric or shown_curve(column, records_shown)
    measured = [record for record in records_shown if name in record.curve.points]
    if name is None or not measured:
        return None
    by_row = {row: {r.seed: values(r, name) for r in of_row if name in r.curve.points} for row, of_row in runs.items()}
    by_row = {row: of_seeds for row, of_seeds in by_row.items() if of_seeds}
    base = by_row.get(board.baseline or "", {})
    bands = {
        row: drawn
        for row, of_seeds in by_row.items()
        if (drawn := difference(of_seeds, base) if to_baseline else band(list(of_seeds.values())))
        and not (to_baseline and row == board.baseline)
    }
    return TaskCurves(
        task=column.label,
        metric=name,
        unit=next((s.unit for r in measured for s in r.scores if s.name == name), _unit(column, name)),
        higher_is_better=direction_of(name, column, records_shown),
        time=measured[0].curve.unit,
        bands=bands,
        lost=[row for row in by_row if row not in bands and not (to_baseline and row == board.baseline)],
    )


def _unit(column: Column, name: str) -> str:
    return column.unit if name.rpartition("/")[2] == column.metric.rpartition("/")[2] else ""


def draw(
    board: Leaderboard,
    tasks: list[TaskCurves],
    to_baseline: bool = False,
    *,
    whole: bool = False,
    highlight: Collection[str] = (),
) -> Figure:
    """One panel per task, one line per optimizer.

    Of the scores it shows what the last third of training spans, from where they come to it; whole: all of training,
    as the papers' figures do.
    """
    styles = looks(board, highlight=highlight)
    order, gray = named(styles, (row for task in tasks for row in task.bands))
    figure, axes = panels(len(tasks), order)
    handles = {}
    for task, axis in zip(tasks, axes, strict=True):
        for row, drawn in task.bands.items():
            style = styles[row]
            marker = {"marker": "o", "markersize": 4} if len(drawn.times) == 1 else {}
            (line,) = axis.plot(drawn.times, drawn.middle, **style.line(), **marker)
            handles.setdefault(row, line)
            if drawn.seeds > 1 and style.colored:
                axis.fill_between(drawn.times, drawn.low, drawn.high, color=style.color, alpha=0.15, linewidth=0)
        colored = [drawn for row, drawn in task.bands.items() if styles[row].colored]
        if not whole and (shown := window(colored)):
            axis.set_ylim(*shown)
            if first := start(colored, shown):
                axis.set_xlim(left=first)
        if to_baseline:
            axis.axhline(0, color="#000000", linewidth=0.8)
        title(axis, task.task)
        axis.set_xlabel(task.time)
        whole_numbers(axis)
        label = score_label(task.metric, task.unit, task.higher_is_better)
        y_label(axis, f"{label}\nless {short(board.baseline or '', 24)}" if to_baseline else label)
        label_ends(axis, {row: (drawn.times[-1], drawn.middle[-1]) for row, drawn in task.bands.items()}, styles)
    label_once(axes)
    legend(figure, [handles[row] for row in order], order, _note(tasks, to_baseline) + gray)
    return figure


def _note(tasks: list[TaskCurves], to_baseline: bool) -> str:
    seeds = sorted({drawn.seeds for task in tasks for drawn in task.bands.values()})
    many = f"{seeds[0]}" if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    measure = "difference by seed, mean" if to_baseline else "mean"
    band = "; band: smallest to largest" if seeds[-1] > 1 else ""
    lost = [f"{row} on {task.task}" for task in tasks for row in task.lost]
    gone = f"; not drawn, diverged at once: {', '.join(lost)}" if lost else ""
    return f"{measure} over {many} seed{'s' * (seeds[-1] > 1)}{band}; curves end where a seed diverged{gone}"
