"""The [table] of a sweep, laid out as it is printed: its own rows and columns under its own labels."""

from __future__ import annotations

from optathlon.results.board.model import Leaderboard
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.names import breakable
from optathlon.results.text.wording import Shown, metric


def printed(board: Leaderboard | None) -> Html | None:
    """The table with its caption and notes, in the words of every other format; None if the sweep has none."""
    if board is None:
        return None
    shown = Shown(board)
    titles = [
        tag("th", breakable(column.label), tag("small", breakable(metric(column))), scope="col")
        for column in board.columns
    ]
    lines = [
        [
            tag("th", breakable(shown.row(row)), scope="row"),
            *(tag("td", tag("strong", words) if cell.best else words) for cell, words in shown.cells(row)),
        ]
        for row in board.rows
    ]
    lines += [
        [tag("th", name, scope="row"), *(tag("td", text) for text in texts)] for name, *texts in shown.references()
    ]
    head = tag("thead", tag("tr", tag("th", "optimizer", scope="col"), *titles))
    body = tag("tbody", *(tag("tr", *line) for line in lines))
    caption = tag("caption", f"{board.name} as it is printed", class_="hidden")
    table = tag("table", caption, head, body, class_="printed")
    notes = [shown.caption(), *shown.verdicts(), *(f"{mark} {note}" for mark, note in shown.footnotes())]
    return join(
        [
            tag("h3", "As the sweep prints it"),
            tag("div", table, class_="scroll", role="region", tabindex=0, aria_label="printed table"),
            *(tag("p", note, class_="note") for note in notes),
        ]
    )
