"""Line charts as inline SVG, styled by the page's style sheet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import msgspec

from optathlon.results.analysis.learning_curves import AREA_POINTS, Band, thinned
from optathlon.results.page.markup import Html, tag
from optathlon.results.page.names import shortened, text_width
from optathlon.results.plots.label_places import spread
from optathlon.results.readable import visible

WIDTH, HEIGHT = 400, 250
TOP, BOTTOM = 8, 34
LINE = 12.5
NAME_SIZE, TICK_SIZE = 11, 10
"""Font sizes, as the style sheet has them."""

# Paths are drawn twice as large, in whole numbers, and scaled down.
FINE = 2
_NAME_ROOM = 118
_LEAST_LEFT = 30
_LEAD = 11


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """One curve of a chart."""

    name: str
    number: int
    """Its row's, by which the script finds all that is drawn of the row."""
    color: int | None
    """Which of the style sheet's colors its line has; None for the gray of those beyond eight."""
    band: Band
    area: bool = True
    """Whether it is thinned, and drawn with its band if it has a color; else it goes through every point."""


class Axis(msgspec.Struct, frozen=True):
    """Values from `low` to `high` on a line of `length`, from its start, or, reversed, from its end."""

    low: float
    high: float
    length: float
    reversed: bool = False

    def position(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.length * (1 - share if self.reversed else share)

    def holds(self, value: float) -> bool:
        return self.low <= value <= self.high


def chart(
    series: Sequence[Series],
    x: tuple[float, float],
    y: tuple[float, float],
    title: str,
    description: str,
    *,
    whole: bool = False,
    zero: bool = False,
) -> Html:
    """Curves with their names at their ends, drawn where x and y reach, and cut off, with an arrow, elsewhere.

    title: of the x axis. said: what the picture shows, for those who do not see it. whole: x has ticks at whole numbers
    only. zero: with a line at 0.
    """
    up = Axis(*y, HEIGHT - TOP - BOTTOM, reversed=True)
    words = tick_words(ticks(up.low, up.high))
    named = _named(series, up)
    left = max(_LEAST_LEFT, *(math.ceil(text_width(word, TICK_SIZE)) + 8 for word in words))
    right = _LEAD + 2 + max((math.ceil(text_width(_label(one, up), NAME_SIZE)) for one in named), default=0)
    across = Axis(*x, WIDTH - left - right)
    drawn = tag(
        "g", *(_series(one, across, up) for one in sorted(series, key=_order)), transform=f"scale({1 / FINE:g})"
    )
    line = tag("path", class_="zero", d=f"M0 {up.position(0):.1f}H{across.length}") if zero and up.holds(0) else None
    plot = tag("svg", line, drawn, y=TOP, width=across.length, height=up.length)
    below = tag("text", title, class_="title", x=across.length / 2, y=HEIGHT - 4, text_anchor="middle")
    inside = tag("g", _grid(across, up, whole), plot, below, _names(named, across, up), transform=f"translate({left})")
    return tag("svg", inside, class_="chart", viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=description)


def ticks(low: float, high: float, most: int = 6, whole: bool = False) -> list[float]:
    """Round values from `low` to `high`, in steps of 1, 2 or 5 times a power of ten; at most `most` + 1."""
    span = (high - low) / most
    if not span > 0 or math.isinf(span):
        return [low]
    power = 10.0 ** math.floor(math.log10(span))
    step = next((power * f for f in (1, 2, 5) if power * f >= span * (1 - 1e-9)), power * 10)
    step = max(step, 1.0) if whole else step
    first = math.ceil(low / step - 1e-9)
    return [i * step for i in range(first, math.floor(high / step + 1e-9) + 1)]


def tick_words(values: Sequence[float]) -> list[str]:
    """`values` with the decimals that their steps need, and a real minus."""
    step = min((b - a for a, b in itertools.pairwise(values)), default=0.0)
    if any(abs(v) >= 1e6 for v in values) or 0 < step < 1e-5:
        return [f"{v:.3g}".replace("-", "−") for v in values]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9)) if step > 0 else 2
    return [f"{v + 0.0:.{decimals}f}".replace("-", "−") for v in values]


def color_class(color: int | None) -> str:
    return "cx" if color is None else f"c{color}"


def _order(series: Series) -> tuple[bool, int]:
    """Gray curves lie below colored ones, of which the baseline's wide line is the lowest: each can be seen below those
    on top of it, at its sides or through the gaps of their dashes."""
    return series.color is not None, series.color or 0


def _series(series: Series, x: Axis, y: Axis) -> Html:
    band, area = thinned(series.band) if series.area else series.band, None
    points = [(x.position(t), y.position(v)) for t, v in zip(band.times, band.middle, strict=True)]
    if series.area and series.color is not None and band.low != band.high:
        wide = thinned(series.band, AREA_POINTS)
        high = [(x.position(t), y.position(v)) for t, v in zip(wide.times, wide.high, strict=True)]
        low = [(x.position(t), y.position(v)) for t, v in zip(wide.times, wide.low, strict=True)]
        area = tag("path", class_="area", d=_path([*high, *reversed(low)], y.length) + "z")
    line = tag("path", class_="line", d=_path(points, y.length))
    end_x, end_y = (round(at * FINE) for at in points[-1])
    mark = None
    if not band.whole:
        mark = tag("path", class_="end", d=f"M{end_x - 8} {end_y - 8}l16 16m0-16l-16 16")
    elif len(points) == 1:
        mark = tag("path", class_="dot", d=f"M{end_x} {end_y}h0")
    return tag("g", area, line, mark, class_=color_class(series.color), data_row=series.number)


def _path(points: Sequence[tuple[float, float]], height: float) -> str:
    """Relative whole steps. Points far outside are moved to just beyond the plot, which their lines cross anyway."""
    near = _visible([(x, min(max(y, -9 * height), 10 * height)) for x, y in points], height)
    whole = [(round(x * FINE), round(y * FINE)) for x, y in near]
    steps = " ".join(f"{b[0] - a[0]} {b[1] - a[1]}" for a, b in itertools.pairwise(whole))
    return f"M{whole[0][0]} {whole[0][1]}" + (f"l{steps}".replace(" -", "-") if steps else "h0")


def _visible(points: Sequence[tuple[float, float]], height: float) -> list[tuple[float, float]]:
    """`points` without those whose lines to both neighbors are above or below the plot."""
    sides = [(y > height) - (y < 0) for _, y in points]
    last = len(points) - 1
    return [
        point
        for i, point in enumerate(points)
        if sides[i] == 0 or i in (0, last) or sides[i - 1] != sides[i] or sides[i + 1] != sides[i]
    ]


def _grid(x: Axis, y: Axis, whole: bool) -> Html:
    ys, xs = ticks(y.low, y.high), ticks(x.low, x.high, whole=whole)
    lines = "".join(f"M0 {TOP + y.position(v):.1f}h{x.length:g}" for v in ys)
    marks = "".join(f"M{x.position(v):.1f} {TOP + y.length:g}v4" for v in xs)
    left = (
        tag("text", word, x=-6, y=f"{TOP + y.position(v) + 3.5:.0f}", text_anchor="end")
        for v, word in zip(ys, tick_words(ys), strict=True)
    )
    below = (
        tag("text", word, x=f"{x.position(v):.0f}", y=TOP + y.length + 15, text_anchor="middle")
        for v, word in zip(xs, tick_words(xs), strict=True)
    )
    base = tag("path", class_="axis", d=f"M0 {TOP + y.length:g}h{x.length:g}{marks}")
    return tag("g", tag("path", class_="grid", d=lines), base, *left, *below, class_="ticks")


def _named(series: Sequence[Series], y: Axis) -> list[Series]:
    """Those whose names stand at their ends: the gray ones only where there is room for all."""
    room = int(y.length // LINE) + 1
    return list(series) if len(series) <= room else [one for one in series if one.color is not None]


def _names(named: Sequence[Series], x: Axis, y: Axis) -> Html:
    """The names at the curves' ends, moved apart."""
    ends = [y.position(one.band.middle[-1]) for one in named]
    places = spread([min(max(end, 0.0), y.length) for end in ends], LINE, y.length)
    names = (_name(one, x, y, end, place) for one, end, place in zip(named, ends, places, strict=True))
    return tag("g", *names, class_="names", transform=f"translate({x.length + _LEAD} {TOP})")


def _name(series: Series, x: Axis, y: Axis, end: float, place: float) -> Html:
    label, lead = _label(series, y), None
    if not _arrow(series, y):
        start = max(0.0, x.position(series.band.times[-1])) - x.length - _LEAD + 1
        lead = tag("path", d=f"M{start:.0f} {end:.0f}L-3 {place:.0f}")
    full = None if label.startswith(series.name) else tag("title", series.name)
    word = tag("text", label, y=round(place + 3.5))
    return tag("g", full, lead, word, class_=color_class(series.color), data_row=series.number)


def _label(series: Series, y: Axis) -> str:
    return shortened(visible(series.name), _NAME_ROOM, NAME_SIZE) + _arrow(series, y)


def _arrow(series: Series, y: Axis) -> str:
    """A mark for a curve that does not end inside the plot; empty for all others."""
    if not series.band.whole:
        return " ✕"
    end = y.position(series.band.middle[-1])
    return " ↑" if end < -0.5 else " ↓" if end > y.length + 0.5 else ""
