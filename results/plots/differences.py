"""Differences to the baseline, task by task, with their intervals."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Literal

from optathlon.results.analysis.against_baseline import Against
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import TooLittle
from optathlon.results.plots.style import across, label_once, legend, looks, panels, seeds_words, short, title
from optathlon.results.text.wording import METHOD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Intervals = Literal["moderated", "dunnett"]
_MOST_WIDTHS = 3.0


def interval(comparison: Against, intervals: Intervals) -> tuple[float, float] | None:
    """The two ends, or None where nothing can be said of them."""
    low, high = (comparison.low, comparison.high) if intervals == "moderated" else (None, None)
    if intervals == "dunnett" and comparison.dunnett:
        low, high = comparison.dunnett.low, comparison.dunnett.high
    return None if low is None or high is None else (low, high)


def draw(
    board: Leaderboard,
    comparisons: list[Against],
    intervals: Intervals = "moderated",
    *,
    highlight: Collection[str] = (),
) -> Figure:
    """One panel per task, one line per row; filled where the difference is proven.

    TooLittle where nothing is compared.
    """
    if not comparisons:
        what = "a baseline among the rows shown" if board.baseline is None else "a complete cell beside the baseline's"
        raise TooLittle(f"{board.name}: differences need {what}")
    tasks = list(dict.fromkeys(comparison.task for comparison in comparisons))
    rows = [row.name for row in board.rows if any(comparison.row == row.name for comparison in comparisons)]
    names = [short(row) for row in rows]
    beside = max(0.0, 0.055 * (max(map(len, names)) - 12))
    figure, axes = panels(len(tasks), height=0.62 + 0.17 * len(rows), beside=beside)
    styles = looks(board, highlight=highlight)
    for number, (task, axis) in enumerate(zip(tasks, axes, strict=True)):
        of_task = [comparison for comparison in comparisons if comparison.task == task]
        for comparison in of_task:
            y, style = len(rows) - 1 - rows.index(comparison.row), styles[comparison.row]
            proven = _proven(comparison, intervals, board.alpha)
            if ends := interval(comparison, intervals):
                axis.plot(ends, (y, y), color=style.color, linewidth=1.2, solid_capstyle="butt")
            fill = style.color if proven else "white"
            axis.plot(
                [comparison.delta], [y], marker="o", color=style.color, markerfacecolor=fill, markersize=4, zorder=4
            )
        axis.axvline(0, color="#000000", linewidth=0.8)
        axis.set_xlim(*_span(of_task, intervals))
        axis.set_ylim(-0.6, len(rows) - 0.4)
        axis.set_yticks(range(len(rows)), names[::-1] if number % across(len(tasks)) == 0 else [""] * len(rows))
        axis.tick_params(axis="y", length=0)
        title(axis, task)
        better = "better →" if of_task[0].higher_is_better else "← better"
        unit = f" ({of_task[0].unit})" if of_task[0].unit else ""
        axis.set_xlabel(f"less {short(board.baseline or '', 16)}{unit}, {better}")
    label_once(axes)
    legend(figure, [], [], _note(board, intervals))
    return figure


def _proven(comparison: Against, intervals: Intervals, alpha: float) -> bool:
    p = comparison.p_holm if intervals == "moderated" else comparison.dunnett and comparison.dunnett.p
    return p is not None and p < alpha


def _span(of_task: list[Against], intervals: Intervals) -> tuple[float, float]:
    """What is shown of a task: all differences, and of intervals that are much wider than they are only a part."""
    deltas = [0.0, *(comparison.delta for comparison in of_task)]
    ends = [end for comparison in of_task for end in interval(comparison, intervals) or ()]
    low, high = min(deltas), max(deltas)
    widths = sorted(b - a for comparison in of_task if (pair := interval(comparison, intervals)) for a, b in [pair])
    most = _MOST_WIDTHS * max(high - low, widths[len(widths) // 2] if widths else 0.0)
    low, high = max(min([low, *ends]), low - most), min(max([high, *ends]), high + most)
    margin = 0.06 * (high - low) or 1.0
    return low - margin, high + margin


def _note(board: Leaderboard, intervals: Intervals) -> str:
    seeds = seeds_words(board, board.columns)
    if intervals == "dunnett":
        return (
            f"mean difference over {seeds}, with Dunnett's intervals, which hold for all rows of a task together at "
            f"{1 - board.alpha:.0%}; filled: p < {board.alpha:g}"
        )
    return (
        f"mean difference over {seeds}, with the {1 - board.alpha:.0%} interval of each by the {METHOD}; filled: p < "
        f"{board.alpha:g} after Holm over all {board.family} comparisons of the plan"
    )
