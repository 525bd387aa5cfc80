"""Rate sensitivity: the score at each learning rate, and how wide the region of good ones is."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from optathlon.results.analysis.tuning import Rates, lines_by_task
from optathlon.results.board.model import Leaderboard
from optathlon.results.errors import TooLittle
from optathlon.results.plots.style import (
    Look,
    label_once,
    legend,
    looks,
    named,
    panels,
    score_label,
    short,
    title,
    y_label,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


# Inches: between two bars, and what a panel leaves for its curves.
_BAR, _CURVES = 0.12, 1.0
_LETTERS = 12


def draw(board: Leaderboard, sensitivities: list[Rates], *, highlight: Collection[str] = ()) -> Figure:
    """One panel per task, with a bar below the curves over each good region; TooLittle where one rate was tried."""
    if not sensitivities:
        raise TooLittle(f"{board.name}: rate needs a sweep over lr, grid.lr = [...]; no row has two of them complete")
    tasks = lines_by_task(sensitivities)
    names = dict.fromkeys(line.row for line in sensitivities)
    rows = {row.name for row in board.rows}
    # Where each setting is a row, a line goes through several of them.
    styles = looks(board, None if rows.issuperset(names) else names, highlight)
    order, gray = named(styles, names)
    labels = [_label(name, sensitivities) for name in order]
    figure, axes = panels(len(tasks), labels, height=1.55 + _BAR * len(names))
    handles = {}
    for (task, lines), axis in zip(tasks.items(), axes, strict=True):
        _rate_axis(axis, [rate for line in lines for rate in line.scores])
        for line in lines:
            style = styles[line.row]
            points = [(rate, score) for rate, score in line.scores.items() if score is not None]
            xs, ys = [rate for rate, _ in points], [score for _, score in points]
            (handle,) = axis.plot(xs, ys, marker=style.marker, **style.line())
            handles.setdefault(line.row, handle)
        _marks(axis, lines, styles)
        title(axis, task)
        axis.set_xlabel("learning rate")
        y_label(axis, score_label(lines[0].metric, lines[0].unit, lines[0].higher_is_better))
    label_once(axes)
    legend(figure, [handles[name] for name in order], labels, _note(sensitivities) + gray)
    return figure


def _rate_axis(axis: Axes, rates: list[float]) -> None:
    """A logarithmic x axis with few ticks, written as a sweep writes rates."""
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    axis.set_xscale("log")
    axis.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if max(rates) < 300 * min(rates) else (1.0,), numticks=8))
    axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.xaxis.set_minor_formatter(NullFormatter())


def _marks(axis: Axes, lines: list[Rates], styles: dict[str, Look]) -> None:
    """Below the curves, a bar over each good region and a cross where a rate diverged."""
    low, high = axis.get_ylim()
    step = _BAR / _CURVES * (high - low)
    for number, line in enumerate(lines):
        y, color = low - step * (number + 0.5), styles[line.row].color
        if line.region is not None:
            ends = (line.region.low, line.region.high)
            axis.plot(ends, (y, y), color=color, linewidth=2.2, solid_capstyle="butt", zorder=4)
            axis.plot([line.region.best], [y], marker=styles[line.row].marker, color=color, zorder=5)
            for rate, is_open, way in ((ends[0], line.region.open_low, "<"), (ends[1], line.region.open_high, ">")):
                if is_open:
                    axis.plot([rate], [y], marker=way, color=color, markersize=4, zorder=5)
        axis.text(
            1.02, y, _bar_label(line), transform=axis.get_yaxis_transform(), fontsize=6, va="center", color="#000000"
        )
        lost = [rate for rate, score in line.scores.items() if score is None]
        axis.plot(lost, [y] * len(lost), linestyle="none", marker="x", color=color, markersize=4, zorder=5)
    axis.axhline(low, color="#444444", linewidth=0.5)
    axis.set_yticks([tick for tick in axis.get_yticks() if low <= tick <= high])
    axis.set_ylim(low - step * (len(lines) + 0.3), high)


def _bar_label(line: Rates) -> str:
    """The row, with the width of its good region on this task."""
    if line.region is None:
        return short(line.row, _LETTERS)
    least = "≥" if line.region.open_low or line.region.open_high else ""
    return f"{short(line.row, _LETTERS)} {least}{line.region.decades:.2f}"


def _label(name: str, sensitivities: list[Rates]) -> str:
    """The name with the width of its good region, averaged over the tasks that have one."""
    regions = [line.region for line in sensitivities if line.row == name and line.region is not None]
    if not regions:
        return name
    least = "≥" if any(region.open_low or region.open_high for region in regions) else ""
    return f"{name} ({least}{sum(region.decades for region in regions) / len(regions):.2f})"


def _note(sensitivities: list[Rates]) -> str:
    tolerances = {line.tolerance for line in sensitivities}
    if None in tolerances and len(tolerances) == 1:
        region = "no good region is shown: it needs two seeds of a setting, or --tolerance"
    else:
        size = f"{next(iter(tolerances)):.3g}" if len(tolerances) == 1 else "twice the deviation between seeds"
        region = (
            f"bars: rates within {size} of the best; arrows: the rates tried end first; in brackets: width in powers "
            "of ten, mean over tasks"
        )
    crosses = "; crosses: diverged" if any(None in line.scores.values() for line in sensitivities) else ""
    return f"{region}{crosses}"
