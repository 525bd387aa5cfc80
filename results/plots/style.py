"""How figures look: sizes of a column and a page, colors that all can tell apart, one legend, one note."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from optathlon.results.board.model import Leaderboard
from optathlon.results.plan import Column
from optathlon.results.plots.label_places import spread
from optathlon.results.readable import one_line
from optathlon.results.text.columns import wrapped as wrapped_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMN, PAGE = 3.25, 6.75  # inches, as most conferences have them
PANEL = 1.75
MOST_COLORED = 8
MOST_LETTERS = 60
# What fits across a panel of three, up a panel, and between two panels.
_TITLE_LETTERS, _Y_LETTERS, _LABEL_LETTERS = 32, 17, 12
# Between the middles of two labels, as a share of the height of a panel.
_LABEL_GAP = 0.1
# Okabe and Ito's colors, yellow darkened for white paper; the first is the baseline's.
_COLORS = ("#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#a89a00")
# Dashes as well, so that lines on top of each other, or in gray print, are told apart.
_DASHES = ((), (), (5, 1.5), (1.5, 1), (5, 1.2, 1.2, 1.2), (8, 3), (3, 3), (5, 1.2, 1.2, 1.2, 1.2, 1.2))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<")
_GRAY = "#b5b5b5"

RC: Mapping[str, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": "#444444",
    "axes.labelsize": 8,
    "axes.linewidth": 0.6,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 8,
    "font.size": 8,
    "grid.color": "#e4e4e4",
    "grid.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "lines.linewidth": 1.3,
    "lines.markersize": 3.5,
    "pdf.fonttype": 42,
    "svg.hashsalt": "optathlon",
    "text.parse_math": False,  # names are no formulas
    "xtick.labelsize": 7,
    "xtick.major.width": 0.6,
    "ytick.labelsize": 7,
    "ytick.major.width": 0.6,
}


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """How the line of a row is drawn."""

    number: int | None
    """Which of the eight that stand out it is, 0 for the baseline; None for those in gray."""
    color: str
    dashes: tuple[float, ...]
    """Lengths of ink and gap in turn, in line widths; empty for a line without gaps."""
    marker: str

    @property
    def colored(self) -> bool:
        return self.number is not None

    def line(self) -> dict[str, Any]:
        """Arguments of `Axes.plot`.

        Lines that lie on each other all show: gray ones are lowest; above them the baseline's wide one, which looks out
        on both sides of a thinner one, and then dashes, through whose gaps one sees what is below.
        """
        style: Any = (0, self.dashes) if self.dashes else "-"
        if self.number is None:
            return {"color": self.color, "linestyle": style, "linewidth": 0.9, "zorder": 2}
        width = 2.0 if self.number == 0 else 1.3
        return {"color": self.color, "linestyle": style, "linewidth": width, "zorder": 3 + 0.01 * self.number}


def looks(board: Leaderboard, names: Iterable[str] | None = None, highlight: Collection[str] = ()) -> dict[str, Look]:
    """A look for each row of `board`, or each of `names`: eight in color, the baseline's first, then those to
    `highlight`, then the best rows; the others in gray."""
    if names is None:
        ranked = sorted(board.rows, key=lambda row: (row.mean_rank is None, row.mean_rank or 0.0))
        names = [row.name for row in ranked]
    ordered = sorted(names, key=lambda name: (name != board.baseline, name not in highlight))
    # Without a baseline nothing is black.
    start = 0 if ordered[:1] == [board.baseline] else 1
    return {name: _look(number) for number, name in enumerate(ordered, start)}


def _look(number: int) -> Look:
    if number >= MOST_COLORED:
        return Look(number=None, color=_GRAY, dashes=(), marker="o")
    return Look(number=number, color=_COLORS[number], dashes=_DASHES[number], marker=_MARKERS[number])


def named(styles: Mapping[str, Look], rows: Iterable[str]) -> tuple[list[str], str]:
    """Of `rows`, those that a legend names, in the order of `styles`, and words for the note on the gray ones."""
    there = set(rows)
    gray = [row for row, style in styles.items() if row in there and not style.colored]
    words = f"; gray: {', '.join(map(short, gray))}" if gray else ""
    return [row for row, style in styles.items() if row in there and style.colored], words


def across(count: int) -> int:
    """How many of `count` panels stand beside each other."""
    return {1: 1, 2: 2, 4: 2}.get(count, 3)


def short(name: str, most: int = MOST_LETTERS) -> str:
    """`name` on one line, without its middle where it is long: names of settings begin alike and differ at the end."""
    name = one_line(name)
    return name if len(name) <= most else f"{name[: most // 2]}…{name[len(name) - most // 2 :]}"


def panels(
    count: int, names: Sequence[str] = (), *, height: float = PANEL, beside: float = 0.0
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` axes, a column wide for one and a page for more, with room for a legend of `names` below.

    beside: further inches, for what stands beside the axes.
    """
    from matplotlib.figure import Figure

    columns = across(count)
    down = math.ceil(count / columns)
    width = (COLUMN if columns == 1 else PAGE) + beside
    legend_lines = math.ceil(len(names) / _beside(names, width)) if names else 0
    size = width, height * down + 0.17 * legend_lines + 0.15 * (2 if columns > 1 else 3)
    figure = Figure(figsize=size, layout="constrained")
    axes = [figure.add_subplot(down, columns, at + 1) for at in range(count)]
    for each in axes:
        each.grid(True)
    return figure, axes


def label_once(axes: Sequence[Axes]) -> None:
    """Drop the labels of axes that say what the panel to their left, or the one below them, says."""
    columns = across(len(axes))
    xs, ys = [axis.get_xlabel() for axis in axes], [axis.get_ylabel() for axis in axes]
    for at, axis in enumerate(axes):
        if at % columns and ys[at] == ys[at - 1]:
            axis.set_ylabel("")
        if at + columns < len(axes) and xs[at] == xs[at + columns]:
            axis.set_xlabel("")


def legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str], note: str) -> None:
    """Below the axes, what a reader has to know of the figure, and the names of the lines."""
    width = figure.get_figwidth()
    text = wrapped(note, int(20 * width))
    labels = [short(label, 2 * MOST_LETTERS) for label in labels]
    if not labels:
        figure.supxlabel(text, fontsize=6.5, color="#444444")
        return
    box = figure.legend(
        handles, labels, loc="outside lower center", ncols=_beside(labels, width), frameon=False, handlelength=2.4,
        columnspacing=1.2, title=text, title_fontsize=6.5,
    )  # fmt: skip
    box.get_title().set(color="#444444", multialignment="center")


def _beside(names: Sequence[str], width: float) -> int:
    """How many names of a legend stand beside each other on `width` inches."""
    return max(1, min(len(names), int(14 * width / (max(map(len, names)) + 6))))


def whole_numbers(axis: Axes) -> None:
    """Ticks of x at whole numbers only."""
    from matplotlib.ticker import MaxNLocator

    axis.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, steps=[1, 2, 5, 10]))


def label_ends(axis: Axes, ends: Mapping[str, tuple[float, float]], styles: Mapping[str, Look]) -> None:
    """Names beside the panel, each joined to the end of its line, at (x, y), for readers who see no color; none for
    lines in gray. To be called when the limits of the axes are set."""
    named_ends = {row: end for row, end in ends.items() if styles[row].colored}
    low, high = axis.get_ylim()
    shares = [(y - low) / ((high - low) or 1.0) for _, y in named_ends.values()]
    places = spread([min(max(share, 0.0), 1.0) for share in shares], _LABEL_GAP, 1.0)
    for (row, (x, y)), share, place in zip(named_ends.items(), shares, places, strict=True):
        arrow = " ↑" if share > 1 else " ↓" if share < 0 else ""
        axis.annotate(
            short(row, _LABEL_LETTERS) + arrow, xy=(x, min(max(y, low), high)), xytext=(1.04, place),
            textcoords="axes fraction", fontsize=6, va="center", annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": styles[row].color, "linewidth": 0.6, "shrinkA": 1, "shrinkB": 0,
                        "relpos": (0, 0.5)},
        )  # fmt: skip


def title(axis: Axes, label: str) -> None:
    """The task as the title of its panel, with scale and editions, if there are any, on a line of their own."""
    name, bracket, marks = label.partition(" [")
    lines = wrapped_name(short(name), _TITLE_LETTERS)
    axis.set_title("\n".join([*lines, *wrapped_name(f"[{short(marks)}", _TITLE_LETTERS)] if bracket else lines))


def y_label(axis: Axes, label: str) -> None:
    """A label that is no longer than the axis is high: in several lines, if it has to be."""
    axis.set_ylabel("\n".join(part for line in label.split("\n") for part in wrapped_name(line, _Y_LETTERS)))


def score_label(metric: str, unit: str, higher_is_better: bool | None) -> str:
    """ "test/accuracy (%), higher is better" as an axis says it; None: neither direction is better."""
    arrow = "" if higher_is_better is None else "\u00a0↑" if higher_is_better else "\u00a0↓"
    return f"{metric}{f' ({unit})' if unit else ''}{arrow}"


def seeds_words(board: Leaderboard, columns: Sequence[Column]) -> str:
    """ "3 seeds", or "2 to 3 seeds" where cells have different numbers."""
    at = [board.columns.index(column) for column in columns]
    counts = sorted({row.cells[i].n for row in board.rows for i in at if row.cells[i].n})
    if not counts:
        return "no seed"
    if len(counts) == 1:
        return f"{counts[0]} seed{'s' * (counts[0] != 1)}"
    return f"{counts[0]} to {counts[-1]} seeds"


def wrapped(text: str, width: int) -> str:
    """`text` in lines of at most `width` letters."""
    import textwrap

    return "\n".join(textwrap.wrap(text, width))
