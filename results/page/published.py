"""Ours beside the papers': the ledger as a table."""

from __future__ import annotations

import collections
from collections.abc import Sequence

from optathlon.results.hyperparameter_text import in_words
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.names import breakable
from optathlon.results.page.report import Report
from optathlon.results.page.words import count, figure, plus_minus
from optathlon.results.papers.ledger import MARGIN, VERDICTS, Entry, expected_false

_HEAD = ("task", "row", "metric", "theirs", "ours", "ours − theirs", "95 % interval", "verdict", "source")
_NUMBERS = ("theirs", "ours", "ours − theirs", "95 % interval")
_DIGITS = 2
_MOST_NOTES = 3


def published(report: Report) -> Html:
    """Every published number beside a row of this board; a sentence if there is none."""
    beside = [entry for entry in report.entries if entry.row]
    if not beside:
        return tag("p", "No published number is of a task and an optimizer of this board.", class_="note")
    counts = collections.Counter(entry.verdict for entry in beside)
    words = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS if counts[verdict])
    head = tag("tr", *(tag("th", w, scope="col", class_="num" if w in _NUMBERS else None) for w in _HEAD))
    caption = tag("caption", "Published numbers beside ours", class_="hidden")
    table = tag("table", caption, tag("thead", head), tag("tbody", *(_row(entry) for entry in beside)))
    region = tag("div", table, class_="scroll", role="region", tabindex=0, aria_label="published numbers")
    numbers = count(len(beside), "published number")
    return join([tag("p", f"{numbers} beside rows of this board: {words}.{_meaning(beside)}"), region])


def _meaning(entries: Sequence[Entry]) -> str:
    """What the verdicts say, and how many of them may be false; empty where nothing is judged."""
    if not (judged := sum(entry.judged for entry in entries)):
        return ""
    return (
        f" Reproduced: the 95 % interval of ours − theirs lies within ±\u00a0{MARGIN:g} deviations between runs; "
        f"differs: it leaves out 0. Of {judged} numbers judged, at most {expected_false(entries):.2g} verdicts are "
        "expected to be false."
    )


def _row(entry: Entry) -> Html:
    theirs = entry.published
    setting = in_words(theirs.setting, theirs.setting)
    ours = _number(entry.mean, entry.std, entry.n)
    return tag(
        "tr",
        tag("th", breakable(theirs.task), scope="row"),
        tag("td", entry.row, tag("small", setting) if setting else None),
        tag("td", theirs.metric, f" ({theirs.unit})" if theirs.unit else ""),
        tag("td", _number(theirs.mean, theirs.std, theirs.n), class_="num"),
        tag("td", ours, class_="num"),
        tag("td", figure(entry.difference, _DIGITS, "+"), class_="num"),
        tag("td", _interval(entry), class_="num"),
        tag("td", entry.verdict, _notes([*entry.notes, *filter(None, [theirs.note])])),
        tag("td", theirs.table),
    )


def _interval(entry: Entry) -> str:
    """The interval that decides; none of what is not judged, which would look like a verdict."""
    if not entry.judged:
        return "–"
    return f"{figure(entry.low, _DIGITS, '+')} to {figure(entry.high, _DIGITS, '+')}"


def _notes(notes: Sequence[str]) -> Html | None:
    """What differs and what the paper says of its number; folded where it is much."""
    if not notes:
        return None
    text = tag("small", "; ".join(notes))
    return text if len(notes) <= _MOST_NOTES else tag("details", tag("summary", f"{len(notes)} notes"), text)


def _number(mean: float | None, std: float | None, n: int | None) -> Html:
    return join(
        [figure(mean, _DIGITS), plus_minus(std, _DIGITS), tag("small", f"n = {n}") if n and mean is not None else None]
    )
