"""Performance profiles: the share of tasks on which a row is at most so many times slower than the fastest one
(Dolan–Moré), or the share of runs that come so near to the best mean."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from optathlon.results.analysis.time_to_target import Times
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import TooLittle
from optathlon.results.plots.style import MOST_COLORED, label_ends, legend, looks, named, panels, seeds_words
from optathlon.results.statistics.planner import pooled_deviation

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Steps = list[tuple[float, float]]


def time_steps(ratios: Sequence[float | None]) -> Steps:
    """Where the profile of `ratios`, None where the target was not reached, rises, and to what share."""
    reached = sorted(ratio for ratio in ratios if ratio is not None)
    return [(ratio, (at + 1) / len(ratios)) for at, ratio in enumerate(reached) if reached[at + 1 : at + 2] != [ratio]]


def score_gaps(board: Leaderboard) -> tuple[dict[str, list[list[float]]], list[str]]:
    """For each whole row, task by task, how far its runs are from the best mean, in pooled deviations between seeds.

    Infinite for runs that diverged. Second: the tasks; those without spread are left out.
    """
    rows = board.whole()
    gaps: dict[str, list[list[float]]] = {row.name: [] for row in rows}
    tasks = []
    for at, column in enumerate(board.columns):
        cells = {row.name: row.cells[at] for row in rows}
        spread = pooled_deviation([cell.finite for cell in cells.values() if cell.comparable])
        means = [cell.mean for cell in cells.values() if cell.comparable and cell.mean is not None]
        if column.name not in board.on or not spread or not means:
            continue
        tasks.append(column.label)
        sign = 1.0 if column.higher_is_better else -1.0
        best = max(means, key=lambda mean: sign * mean)
        for name, cell in cells.items():
            gaps[name].append([math.inf if v is None else sign * (best - v) / spread for v in cell.values])
    return gaps, tasks


def score_steps(gaps: Sequence[Sequence[float]]) -> Steps:
    """Where the share of runs within so many deviations rises, each task counting alike."""
    weights: dict[float, float] = {}
    for runs in gaps:
        for gap in runs:
            if math.isfinite(gap):
                weights[gap] = weights.get(gap, 0.0) + 1 / len(runs) / len(gaps)
    share, steps = 0.0, []
    for gap in sorted(weights):
        share += weights[gap]
        steps.append((gap, share))
    return steps


def draw_times(board: Leaderboard, times: Times, *, highlight: Collection[str] = ()) -> Figure:
    """The profile of times to the targets, with AlgoPerf's score in the legend."""
    if not times.rows or not times.targets:
        why = "; ".join(f"{name}: {reason}" for name, reason in times.left_out.items()) or "no runs yet"
        raise TooLittle(f"{board.name}: profiles need rows with every task, and targets on them ({why})")
    steps = {row.name: time_steps(row.ratios) for row in times.rows}
    labels = {row.name: f"{row.name} ({row.score:.2f})" for row in times.rows}
    figure, (axis,) = panels(1, list(labels.values())[:MOST_COLORED], height=2.0)
    axis.set_xscale("log", base=2)
    furthest = max((of_row[-1][0] for of_row in steps.values() if of_row), default=1.0)
    _steps(figure, board, steps, labels, (1.0, max(times.r_max, 1.05 * furthest)), _times_note(board, times), highlight)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlabel("time to target, times the fastest")
    axis.set_ylabel("share of tasks")
    return figure


def _times_note(board: Leaderboard, times: Times) -> str:
    count = len(times.targets)
    left = f"; left out: {', '.join(times.left_out)}" if times.left_out else ""
    return (
        f"{count} task{'s' * (count != 1)}, median over {seeds_words(board, board.columns)}; in brackets AlgoPerf's "
        f"score: the area from 1 to {times.r_max:g}{left}"
    )


def draw_scores(board: Leaderboard, *, highlight: Collection[str] = ()) -> Figure:
    """The profile of scores."""
    gaps, tasks = score_gaps(board)
    if not gaps or not tasks:
        raise TooLittle(f"{board.name}: profiles of scores need rows with every task, and two seeds in a cell")
    steps = {row: score_steps(of_row) for row, of_row in gaps.items()}
    ends = [of_row[-1][0] for of_row in steps.values() if of_row]
    starts = [of_row[0][0] for of_row in steps.values() if of_row]
    figure, (axis,) = panels(1, list(steps)[:MOST_COLORED], height=2.0)
    count, seeds = len(tasks), seeds_words(board, board.columns)
    note = f"{count} task{'s' * (count != 1)}, {seeds}; runs that diverged are never within"
    span = (min(0.0, *starts), min(max(4.0, *ends), 20.0))
    _steps(figure, board, steps, {row: row for row in steps}, span, note, highlight)
    axis.set_xlabel("τ, pooled deviations between seeds")
    axis.set_ylabel("share of runs within τ\nof the best mean")
    return figure


def _steps(
    figure: Figure,
    board: Leaderboard,
    steps: dict[str, Steps],
    labels: dict[str, str],
    span: tuple[float, float],
    note: str,
    highlight: Collection[str],
) -> None:
    (axis,) = figure.axes
    styles = looks(board, highlight=highlight)
    order, gray = named(styles, steps)
    handles = {}
    for row, of_row in steps.items():
        xs = [span[0], *(x for x, _ in of_row), span[1]]
        ys = [0.0, *(y for _, y in of_row)]
        (handles[row],) = axis.plot(xs, [*ys, ys[-1]], drawstyle="steps-post", **styles[row].line())
    axis.set_xlim(*span)
    axis.set_ylim(-0.02, 1.02)
    # Most lines end at 1: their names stand in the order in which the lines rise.
    rising = sorted(steps, key=lambda row: area(steps[row], span[1]))
    label_ends(axis, {row: (span[1], _share(steps[row], span[1])) for row in rising}, styles)
    legend(figure, [handles[row] for row in order], [labels[row] for row in order], note + gray)


def area(steps: Steps, end: float) -> float:
    """The area below the profile up to `end`: the more, the earlier it rises."""
    rises = zip(steps, [0.0, *(share for _, share in steps)], strict=False)
    return sum((share - before) * (end - x) for (x, share), before in rises if x < end)


def _share(steps: Steps, place: float) -> float:
    """How high the profile is at `place`."""
    return max((share for x, share in steps if x <= place), default=0.0)
