"""The critical-difference diagram with one line per row, so that it can be read on a phone as well (Demšar 2006)."""

from __future__ import annotations

import math

from optathlon.results.analysis.over_tasks import Overall
from optathlon.results.page.markup import Html, tag
from optathlon.results.page.names import shortened, text_width
from optathlon.results.page.report import Report
from optathlon.results.page.svg import NAME_SIZE, WIDTH, Axis, color_class, tick_words, ticks
from optathlon.results.readable import visible

_NAME_ROOM = 150
_LINE, _BAR = 18, 8
_TOP = 46
# For the rank beside a row's dot.
_RANK_ROOM = 34


def rank_chart(report: Report, totals: Overall) -> Html:
    """Rows from the best mean rank down, a dot on the axis for each, and a bar for each clique at the right."""
    ranked = {row.name: row.mean_rank for row in totals.rows}
    shown = {name: shortened(visible(name), _NAME_ROOM, NAME_SIZE) for name in ranked}
    left = 14 + max(math.ceil(text_width(name, NAME_SIZE)) for name in shown.values())
    axis = Axis(1.0, float(len(ranked)), WIDTH - left - _RANK_ROOM - 6 - _BAR * len(totals.cliques))
    height = {name: _TOP + _LINE * number + _LINE / 2 for number, name in enumerate(ranked)}
    bottom = _TOP + _LINE * len(ranked)
    body = [_scale(axis, bottom), _critical_difference(axis, totals.critical_difference)]
    body += [_row(report, name, shown[name], axis, rank, height[name]) for name, rank in ranked.items()]
    for number, clique in enumerate(totals.cliques):
        x = axis.length + _RANK_ROOM + 6 + _BAR * number
        heights = [height[name] for name in clique]
        body.append(tag("path", class_="clique", d=f"M{x:.1f} {min(heights) - 5:g}V{max(heights) + 5:g}"))
    description = "mean ranks: " + ", ".join(f"{name} {rank:.2f}" for name, rank in ranked.items())
    inside = tag("g", *body, transform=f"translate({left})")
    return tag("svg", inside, class_="chart", viewBox=f"0 0 {WIDTH} {bottom}", role="img", aria_label=description)


def _row(report: Report, name: str, shown: str, axis: Axis, rank: float, y: float) -> Html:
    x = axis.position(rank)
    return tag(
        "g",
        None if shown == name else tag("title", name),
        tag("path", class_="line", d=f"M0 {y:g}H{x:.1f}"),
        tag("path", class_="dot", d=f"M{x:.1f} {y:g}h0"),
        tag("text", shown, x=-8, y=y + 4, text_anchor="end"),
        tag("text", f"{rank:.2f}", x=f"{x + 8:.1f}", y=y + 4),
        class_=color_class(report.colors.get(name)),
        data_row=report.number[name],
    )


def _scale(axis: Axis, height: float) -> Html:
    values = ticks(axis.low, axis.high, 8, whole=True)
    lines = "".join(f"M{axis.position(value):.1f} {_TOP - 4}V{height}" for value in values)
    words = (
        tag("text", word, x=f"{axis.position(value):.1f}", y=_TOP - 9, text_anchor="middle")
        for value, word in zip(values, tick_words(values), strict=True)
    )
    return tag("g", tag("path", class_="grid", d=lines), *words, class_="ticks")


def _critical_difference(axis: Axis, distance: float | None) -> Html | None:
    """The distance as a line above the axis, from rank 1 on, where it is not longer than the axis."""
    if distance is None or distance > axis.high - axis.low:
        return None
    reach = axis.position(1.0 + distance)
    beside = reach + 6 + text_width("critical difference", NAME_SIZE) < axis.length + _RANK_ROOM
    place = {"x": f"{reach + 6:.1f}", "y": 12} if beside else {"x": 0, "y": 22}
    line = tag("path", class_="axis", d=f"M0 5v6m0-3h{reach:.1f}m0-3v6")
    return tag("g", line, tag("text", "critical difference", **place))
