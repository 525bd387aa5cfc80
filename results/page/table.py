"""The leaderboard as a table: a cell says mean, deviation, difference to the baseline, and what that proves."""

from __future__ import annotations

from collections.abc import Iterable

from optathlon.results.board.cell import Cell
from optathlon.results.board.reference_rows import ReferenceRow
from optathlon.results.board.row import BoardRow
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.names import breakable
from optathlon.results.page.report import Report
from optathlon.results.page.svg import color_class
from optathlon.results.page.words import BaselineVerdict, count, figure, gap_in_short, plus_minus, probability, verdict
from optathlon.results.papers.ledger import Entry
from optathlon.results.plan import Column, label_marks
from optathlon.results.text.wording import COLLAPSING, METHOD, UNTRAINED, Shown, metric

MARKS = {"better": "▲ ", "worse": "▼ "}
TOGGLES = (
    ("mean", "mean"), ("sd", "deviation"), ("delta", "difference"), ("verdict", "verdict"), ("pub", "published"),
)  # fmt: skip


def leaderboard(report: Report) -> Html:
    """The controls, the table, and what its marks and footnotes mean."""
    board, shown = report.board, Shown(report.board)
    ranked = len(board.columns) > 1
    head = [
        _head("optimizer", "", None, "text"),
        *([_head("mean rank", "1 is best", None, "low")] if ranked else []),
        *map(_task_head, board.columns),
    ]
    body = [_row(report, shown, row, ranked) for row in report.rows]
    foot = tag("tfoot", *(_reference(report, row, ranked) for row in board.references)) if board.references else None
    caption = tag("caption", f"Leaderboard of {board.name}", class_="hidden")
    table = tag("table", caption, tag("thead", tag("tr", *head)), tag("tbody", *body), foot, id="board", class_="board")
    region = tag("div", table, class_="scroll", role="region", tabindex=0, aria_label="leaderboard")
    notes = [tag("li", tag("sup", mark), " ", note) for note, mark in shown.notes.items()]
    footnotes = tag("ul", *notes, class_="footnotes") if notes else None
    status = tag("p", class_="hidden", id="said", role="status")
    return join([_controls(report), region, status, footnotes, _legend(report)])


def _task_head(column: Column) -> Html:
    """The head of a task's column: its name, and below it scale and editions where they matter."""
    marks = label_marks(column.label)
    title, direction = column.label.removesuffix(marks), "high" if column.higher_is_better else "low"
    return _head(title, marks.strip(), column, direction)


def swatch(report: Report, row: str) -> Html:
    """A row's line as its curves have it."""
    line = tag("path", class_="line", d="M0 3h22")
    return tag(
        "svg", line, class_=f"swatch {color_class(report.colors.get(row))}", viewBox="0 0 22 6", aria_hidden="true"
    )


def verdict_span(judged: BaselineVerdict, cell: Cell) -> Html | None:
    """A verdict with its p, marked by an arrow where something is shown; None if there is none."""
    if not judged.words:
        return None
    tested = cell.p_holm is not None and judged.kind in ("better", "worse", "tied")
    p = f", {probability(cell.p_holm)}" if tested else ""
    return tag("span", MARKS.get(judged.kind, ""), judged.words, p, class_=f"verdict {judged.kind}")


def mean(cell: Cell, digits: int) -> Html:
    """A cell's mean, bold if it is the best, with ≈ if it is not separable from it; its status where there is none."""
    if cell.mean is None:
        return tag("span", "diverged" if cell.status == "diverged" else "–", class_="mean none")
    best = tag("strong", figure(cell.mean, digits)) if cell.best else figure(cell.mean, digits)
    return tag("span", best, " ≈" if cell.tied and not cell.best else "", class_="mean")


def _shows(report: Report) -> str:
    """What the cells hold."""
    board, shown = report.board, Shown(report.board)
    counts = report.planned
    seeds = f"n = {count(counts[0], 'seed')}" if len(counts) == 1 else "n seeds, given in the cells"
    words = [f"Mean over {seeds}, ± sample deviation (ddof = {board.ddof})"]
    if board.baseline is not None:
        words.append(f", difference to {board.baseline}")
    if board.family:
        words.append(
            f" and whether it is shown{shown.claim()}: {METHOD}, p adjusted by Holm over all {board.family} "
            f"comparisons with {board.baseline} in the plan, at {board.alpha:g}{shown.looks()}"
        )
    return "".join(words) + "."


def _head(name: str, small: str, column: Column | None, better: str) -> Html:
    lines = [small, breakable(metric(column).replace(" ↑", "\u00a0↑").replace(" ↓", "\u00a0↓"))] if column else [small]
    button = tag("button", breakable(name), type="button", disabled=True)
    task = column.name if column else None
    return tag("th", button, *(tag("small", line) for line in lines), scope="col", data_better=better, data_task=task)


def _row(report: Report, shown: Shown, row: BoardRow, ranked: bool) -> Html:
    whole = row.mean_rank is not None
    name = join([swatch(report, row.name), breakable(row.name), _footnote_marks(shown, row.notes)])
    cells: list[Html] = [tag("th", name, scope="row", data_v=row.name)]
    if ranked:
        done = sum(cell.rank is not None for cell in row.cells)
        share = tag("small", f"{done} of {count(len(row.cells), 'task')}")
        known = figure(row.mean_rank, 2) if whole else join(["–", share])
        cells.append(tag("td", known, data_v=row.mean_rank))
    for column, cell in zip(report.board.columns, row.cells, strict=True):
        cells.append(_cell(report, shown, column, row.name, cell))
    return tag("tr", *cells, data_row=report.number[row.name], class_=None if whole or not ranked else "partial")


def _footnote_marks(shown: Shown, notes: Iterable[str]) -> Html | None:
    """The numbers of footnotes, raised; their words are shown under the pointer as well."""
    notes = list(dict.fromkeys(notes))
    return tag("sup", ",".join(map(str, sorted(shown.numbers(notes)))), title="; ".join(notes)) if notes else None


def _reference(report: Report, row: ReferenceRow, ranked: bool) -> Html:
    cells = [
        tag("td", None if value is None else tag("span", figure(value, column.digits), class_="mean"))
        for column, value in zip(report.board.columns, row.values, strict=True)
    ]
    head = tag("th", breakable(row.name), tag("small", UNTRAINED), scope="row")
    return tag("tr", head, tag("td") if ranked else None, *cells)


def _cell(report: Report, shown: Shown, column: Column, row: str, cell: Cell) -> Html:
    """Mean and deviation, the difference with what it proves, and the paper's number: a line each, however many tasks
    there are; what takes more words is a footnote."""
    judged = verdict(report.board, column, row, cell)
    spread = plus_minus(cell.std, column.digits)
    seeds = f" n={cell.n}" if len(report.planned) > 1 and cell.n else ""
    delta = tag("span", figure(cell.delta, column.digits, "+"), class_="delta") if cell.delta is not None else None
    return tag(
        "td",
        tag("a", mean(cell, column.digits), href=f"#{report.anchor(row, column.name)}"),
        _footnote_marks(shown, _notes(report, judged, cell)),
        tag("span", spread, seeds, class_="sd") if spread or seeds else None,
        tag("span", *filter(None, [delta, " " if delta else "", _short_verdict(judged, cell)]), class_="against"),
        _published(report.beside(row, column), column, shown),
        data_v=None if cell.mean is None else f"{cell.mean:.9g}",
    )


def _notes(report: Report, judged: BaselineVerdict, cell: Cell) -> list[str]:
    """The cell's own, and why it is not tested where others are; what no cell has is said once, in the summary."""
    untested = judged.kind == "untested" or (judged.kind == "open" and not gap_in_short(cell) and cell.mean is not None)
    return [*cell.notes, judged.words] if untested and report.board.family else cell.notes


def _short_verdict(judged: BaselineVerdict, cell: Cell) -> Html | None:
    """An arrow where a difference is shown, and p; or why nothing is compared."""
    if judged.kind in ("better", "worse"):
        arrow = tag("span", MARKS[judged.kind].strip(), title=judged.words, role="img", aria_label=judged.words)
        return tag("span", arrow, probability(cell.p_holm), class_=f"verdict {judged.kind}")
    words = {"baseline": "baseline", "tied": probability(cell.p_holm), "open": gap_in_short(cell)}.get(judged.kind, "")
    return tag("span", words, class_=f"verdict {judged.kind}") if words else None


def _published(entries: list[Entry], column: Column, shown: Shown) -> Html | None:
    """The paper's number, and as a footnote how ours compares."""
    if not entries:
        return None
    theirs = entries[0].published
    spread = plus_minus(theirs.std, column.digits)
    other = "" if f"test/{theirs.metric}" == column.metric else f" {theirs.metric}"
    more = f", {len(entries) - 1} more" if len(entries) > 1 else ""
    compared = _footnote_marks(shown, [f"beside the paper’s number: {entries[0].verdict}"])
    return tag("span", f"paper{other} {figure(theirs.mean, column.digits)}{spread}{more}", compared, class_="pub")


def _controls(report: Report) -> Html:
    shown = [(key, word) for key, word in TOGGLES if _there(report, key)]
    boxes = [
        tag("label", tag("input", type="checkbox", id=f"show-{key}", checked=True), f" {word}") for key, word in shown
    ]
    fields = [
        tag("label", f"{word} ", tag("input", type="search", id=f"find-{key}", placeholder="all", autocomplete="off"))
        for key, word in (("row", "Optimizers"), ("task", "Tasks"))
    ]
    return tag(
        "div",
        tag("fieldset", tag("legend", "Show"), *boxes),
        tag("div", *fields, class_="find", hidden=True),
        class_="controls",
    )


def _there(report: Report, key: str) -> bool:
    cells = [cell for row in report.board.rows for cell in row.cells]
    return {
        "sd": any(cell.std is not None for cell in cells),
        "delta": any(cell.delta is not None for cell in cells),
        "pub": bool(report.published),
    }.get(key, True)


def _legend(report: Report) -> Html:
    words = [f"Bold: best mean of a task. ≈ not shown to be worse: all pairs of a task together, by the {METHOD}."]
    if report.board.collapsing:
        words.append(f" Of this board: {COLLAPSING}.")
    if report.board.baseline is not None:
        words.append(f" ▲ better, ▼ worse than {report.board.baseline}, and shown to be; p alone: not separable.")
    words.append(" Every mean leads to its interval, setting and runs.")
    if any(row.mean_rank is None for row in report.board.rows) and len(report.board.columns) > 1:
        words.append(" Rows that lack a task have no mean rank and stand below the others.")
    if report.board.references:
        words.append(f" {UNTRAINED}: a reference model on the same data, in no rank, test or aggregate.")
    return join([tag("p", _shows(report), class_="note"), tag("p", *words, class_="note")])
