"""Tuning-budget curves: what the best of k settings is expected to reach, task by task."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from optathlon.results.analysis.tuning import SOURCES, Budget, lines_by_task
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import TooLittle
from optathlon.results.plots.style import (
    label_ends,
    label_once,
    legend,
    looks,
    named,
    panels,
    score_label,
    title,
    whole_numbers,
    y_label,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(board: Leaderboard, tuning: list[Budget], *, highlight: Collection[str] = ()) -> Figure:
    """One panel per task; TooLittle where nothing was tuned."""
    if not tuning:
        raise TooLittle(
            f"{board.name}: budget needs tuning seeds, seeds = {{tune = [...], report = [...]}}, and several settings "
            "of an optimizer whose tuning is complete"
        )
    tasks = lines_by_task(tuning)
    styles = looks(board, highlight=highlight)
    order, gray = named(styles, (line.row for line in tuning))
    figure, axes = panels(len(tasks), order)
    handles = {}
    for (task, lines), axis in zip(tasks.items(), axes, strict=True):
        for line in lines:
            style = styles[line.row]
            ks = range(1, len(line.best) + 1)
            marker = {"marker": style.marker, "markersize": 2.5} if len(line.best) <= 20 else {}
            (handle,) = axis.plot(ks, line.best, **style.line(), **marker)
            handles.setdefault(line.row, handle)
        title(axis, task)
        axis.set_xlabel("settings tried, k")
        whole_numbers(axis)
        y_label(axis, score_label(lines[0].metric, lines[0].unit, lines[0].higher_is_better))
        label_ends(axis, {line.row: (len(line.best), line.best[-1]) for line in lines}, styles)
    label_once(axes)
    legend(figure, [handles[row] for row in order], order, _note(tuning) + gray)
    return figure


def _note(tuning: list[Budget]) -> str:
    lost = sum(line.diverged for line in tuning)
    gone = f"; {lost} setting{'s' * (lost != 1)} that diverged count as the worst that did not" if lost else ""
    what = "expected best of k settings drawn at random from those tried, mean over tuning seeds"
    return f"{what} ({SOURCES[tuning[0].estimator]}){gone}"
