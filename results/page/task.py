"""The section of one task: what was run, what each row came to, and from which settings, seeds and runs."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from optathlon.results.board.cell import Cell
from optathlon.results.board.row import BoardRow
from optathlon.results.board.selection import Winner
from optathlon.results.hyperparameter_text import differing, in_words
from optathlon.results.page.diagnostics import diagnostics
from optathlon.results.page.figures import budget_figure, curve_figures, strip, strip_axis
from optathlon.results.page.markup import Html, join, tag
from optathlon.results.page.names import breakable
from optathlon.results.page.report import Again, Report
from optathlon.results.page.svg import Axis
from optathlon.results.page.table import mean, swatch, verdict_span
from optathlon.results.page.words import CHANCE, count, figure, listed, plus_minus, to_decide, verdict
from optathlon.results.plan import Column
from optathlon.results.record import flat, tuned_values
from optathlon.results.text.wording import UNTRAINED, metric

_MOST_FAILURES, _LONGEST = 20, 400
_FACTS = {
    "protocol.batch": "batch {}",
    "protocol.schedule.kind": "{} schedule",
    "protocol.precision": "{}",
    "scale": "scale {}",
    "version": "task version {}",
}
# The verdict says as much, or what stands below the setting.
_ELSEWHERE = re.compile(r"\d+ of \d+ seeds |chosen on the edge of ")
_USUAL = ("lr", "momentum", "weight_decay")


def task_section(report: Report, column: Column) -> Html:
    """Facts, results, curves and, folded, settings and runs."""
    figures = [curve_figures(report, column), budget_figure(report, column)]
    head = tag("h3", column.label, " ", tag("small", metric(column)))
    return tag(
        "section",
        head,
        tag("p", _facts(report, column), class_="facts"),
        _results(report, column),
        tag("div", *figures, class_="figures"),
        diagnostics(report, column),
        _settings(report, column),
        _runs(report, column),
        _commands(report, column),
        _failures(report, column),
        id=report.anchors[column.name],
        class_="task",
        data_task=column.name,
    )


def _facts(report: Report, column: Column) -> str:
    known = flat(report.problem(column))
    length = f"{known.get('protocol.length', '')} {known.get('protocol.unit', '')}".strip()
    editions = [f"{key[5:]} {edition}" for key, edition in known.items() if key.startswith("data.")]
    named = [words.format(known[key]) for key, words in _FACTS.items() if key in known]
    tuned = any(name == column.name for _, name in report.winners)
    chosen = f"settings chosen by {column.selection} on other seeds" if tuned else "no setting was tuned"
    return " · ".join(filter(None, [length, *named, *editions, chosen]))


def _results(report: Report, column: Column) -> Html:
    board = report.board
    cells = report.cells(column)
    axis = strip_axis([cell for _, cell in cells])
    base = board.cell(board.baseline, column.name) if board.baseline is not None and len(cells) > 1 else None
    counts = {cell.n for _, cell in cells}
    seeds = f" (n = {next(iter(counts))})" if len(counts) == 1 else ""
    titles = [
        tag("th", "optimizer", scope="col"),
        tag("th", f"mean ± deviation{seeds}", scope="col"),
        tag("th", _strip_title(axis, column), scope="col"),
        tag("th", join(["less ", breakable(board.baseline or ""), " [95 % interval]"]) if base else "", scope="col"),
        tag("th", "verdict", scope="col"),
        tag("th", "rank", scope="col"),
        tag("th", "setting", scope="col"),
    ]
    order = sorted(cells, key=lambda pair: (pair[1].rank is None, pair[1].rank or 0.0))
    body = [_result(report, column, row, cell, axis, base, not seeds) for row, cell in order]
    caption = f"Results on {column.label}"
    table = tag(
        "table", tag("caption", caption, class_="hidden"), tag("thead", tag("tr", *titles)), tag("tbody", *body),
        _references(report, column, len(titles)), class_="results",
    )  # fmt: skip
    region = tag("div", table, class_="scroll", role="region", tabindex=0, aria_label=caption)
    if not any(report.needs.get((row.name, column.label)) for row, _ in cells):
        return region
    family = count(board.family, "comparison")
    note = (
        f"Each interval holds for its row alone, p for the {family} of this page together. Seeds to decide: {CHANCE}."
    )
    return join([region, tag("p", note, class_="note")])


def _references(report: Report, column: Column, width: int) -> Html | None:
    """What models that no optimizer trains score here; None if there are none."""
    at = report.board.columns.index(column)
    scores = [(row.name, value) for row in report.board.references if (value := row.values[at]) is not None]
    rows = [
        tag(
            "tr",
            tag("th", breakable(name), tag("small", UNTRAINED), scope="row"),
            tag("td", figure(value, column.digits)),
            *(tag("td") for _ in range(width - 2)),
        )
        for name, value in scores
    ]  # fmt: skip
    return tag("tfoot", *rows) if rows else None


def _strip_title(axis: Axis | None, column: Column) -> Html | None:
    if axis is None:
        return None
    ends = (tag("span", figure(end, column.digits)) for end in (axis.low, axis.high))
    return join(["seeds, mean, 95 % interval", tag("small", *ends, class_="ends")])


def _result(
    report: Report, column: Column, row: BoardRow, cell: Cell, axis: Axis | None, base: Cell | None, counted: bool
) -> Html:
    digits, judged = column.digits, verdict(report.board, column, row.name, cell)
    spread = plus_minus(cell.std, digits)
    interval = ""
    if cell.delta_lo is not None and cell.delta_hi is not None:
        interval = f" [{figure(cell.delta_lo, digits, '+')}, {figure(cell.delta_hi, digits, '+')}]"
    need = to_decide(report.needs.get((row.name, column.label))) if judged.kind == "tied" else ""
    notes = "; ".join(filter(None, [need, *(note for note in cell.notes if not _ELSEWHERE.match(note))]))
    delta = "" if cell.delta is None else figure(cell.delta, digits, "+")
    seeds = tag("small", f"n = {cell.n}") if counted and cell.n else None
    return tag(
        "tr",
        tag("th", swatch(report, row.name), breakable(row.name), scope="row"),
        tag("td", mean(cell, digits), spread, seeds),
        tag("td", strip(axis, cell, base, report.colors.get(row.name)) if axis else None),
        tag("td", delta, interval),
        tag("td", verdict_span(judged, cell), tag("small", notes) if notes else None),
        tag("td", "–" if cell.rank is None else f"{cell.rank:g}"),
        tag("td", _setting(report, column, row.name, cell)),
        id=report.anchor(row.name, column.name),
        data_row=report.number[row.name],
    )


def _setting(report: Report, column: Column, row: str, cell: Cell) -> Html:
    """What was varied of a cell's setting, or else its usual hyperparameters; and which are on the edge of the grid."""
    winner = report.winners.get((row, column.name))
    keys = _varied(report, winner) if winner else []
    words = in_words(cell.hyperparameters, keys or [key for key in _USUAL if key in cell.hyperparameters])
    if len(cell.chosen) > 1:
        settings = report.plan.head.settings
        each = (f"{in_words(tuned_values(settings[s]), keys)} ({count(n, 'seed')})" for s, n in cell.chosen.items())
        words = f"{len(cell.chosen)} winners: {'; '.join(each)}"
    edge = tag("small", f"edge of the grid: {', '.join(cell.edges)}", class_="flag") if cell.edges else None
    return join([breakable(words), edge])


def _varied(report: Report, winner: Winner) -> list[str]:
    tried = [*(c.setting for c in winner.candidates), *winner.left_out]
    return differing(tuned_values(report.plan.head.settings[setting]) for setting in tried)


def _settings(report: Report, column: Column) -> Html:
    """Every setting of every row: chosen, tried, failed, and what they have in common."""
    items = []
    edges = 0
    for row, cell in report.cells(column):
        winner = report.winners.get((row.name, column.name))
        if winner is None:
            words = in_words(cell.hyperparameters, cell.hyperparameters)
            items.append(_named(row.name, tag("p", words or "none yet")))
        else:
            edges += bool(winner.edges)
            items.append(_named(row.name, *_tried(report, column, winner)))
    tuned = any(name == column.name for _, name in report.winners)
    head = "Settings tried, best first" if tuned else "Settings"
    flag = f", {count(edges, 'winner')} on the edge of what was tried" if edges else ""
    return tag("details", tag("summary", head, flag), tag("dl", *items, class_="tried"))


def _named(row: str, *content: Any) -> Html:
    return join([tag("dt", breakable(row)), tag("dd", *content)])


def _tried(report: Report, column: Column, winner: Winner) -> Iterable[Html]:
    settings = report.plan.head.settings
    varied = _varied(report, winner)
    lines = []
    for candidate in winner.candidates:
        words = in_words(tuned_values(settings[candidate.setting]), varied) or "the only one"
        score = figure(candidate.mean, max(4, column.digits))
        lost = f", {count(candidate.n_diverged, 'seed')} diverged" if candidate.n_diverged else ""
        seeds = winner.chosen.get(candidate.setting, 0)
        chosen = f", chosen by {count(seeds, 'seed')}" if seeds else ", chosen"
        line = f"{words}: {score}{lost}"
        edge = tag("span", f", on the edge: {', '.join(winner.edges)}", class_="flag") if winner.edges else None
        wins = bool(seeds) or candidate.setting == winner.setting
        lines.append(tag("li", tag("b", line, chosen), edge) if wins else tag("li", line))
    for setting in winner.failed:
        lines.append(tag("li", in_words(tuned_values(settings[setting]), varied), ": a run failed"))
    for setting, why in winner.unusable.items():
        lines.append(tag("li", in_words(tuned_values(settings[setting]), varied), f": {why}"))
    if left := winner.planned - len(winner.candidates) - len(winner.left_out):
        lines.append(tag("li", f"{count(left, 'setting')} to come"))
    yield tag("ol", *lines)
    if winner.candidates:
        common = tuned_values(settings[winner.candidates[0].setting])
        if words := in_words(common, [key for key in common if key not in varied]):
            yield tag("p", f"all with {words}")


def _runs(report: Report, column: Column) -> Html:
    """A table of every run that is shown, rows by seeds, so that one seed compares down a column."""
    cells = report.cells(column)
    seeds = sorted({seed for _, cell in cells for seed in cell.seeds})
    head = tag("tr", tag("th", "optimizer", scope="col"), *(tag("th", f"seed {seed}", scope="col") for seed in seeds))
    body = []
    for row, cell in cells:
        by_seed = dict(zip(cell.seeds, zip(cell.runs, cell.values, strict=True), strict=True))
        runs = (tag("td", _run(report, *by_seed[s], column.digits) if s in by_seed else "–") for s in seeds)
        body.append(tag("tr", tag("th", breakable(row.name), scope="row"), *runs, data_row=report.number[row.name]))
    table = tag("table", tag("thead", head), tag("tbody", *body), class_="runs")
    region = tag("div", table, class_="scroll", role="region", tabindex=0, aria_label=f"runs on {column.label}")
    return tag("details", tag("summary", "Seeds and run ids"), region)


def _commands(report: Report, column: Column) -> Html | None:
    """What carries out each run again; None if there is nothing that does."""
    items = [
        _named(row.name, *(tag("p", tag("code", again.command), _other_seeds(again)) for again in commands))
        for row, _ in report.cells(column)
        if (commands := report.commands.get((row.name, column.name)))
    ]
    title = tag("summary", "Commands that make the runs again")
    return tag("details", title, tag("dl", *items, class_="tried")) if items else None


def _other_seeds(again: Again) -> str:
    seeds = [str(seed) for seed in again.other_seeds]
    return f"; --seed {listed(seeds)} for the other{'s' * (len(seeds) > 1)}" if seeds else ""


def _run(report: Report, run: str, value: float | None, digits: int) -> Html:
    record = report.whole.get(run)
    at = f" at update {record.diverged_at}" if record and record.diverged_at is not None else ""
    shown = figure(value, digits) if value is not None else f"diverged{at}"
    return join([shown, " ", tag("code", run)])


def _failures(report: Report, column: Column) -> Html | None:
    """Runs of this task that failed for good, with the reason as it was written down."""
    states = report.results.states
    runs = {run.id: run for run in report.plan.runs if run.column == column.name}
    failed = [(run, state.reason) for run in runs.values() if (state := states.get(run.id)) and state.kind == "failed"]
    if not failed:
        return None
    lines = [
        tag("li", f"{run.row}, seed {run.seed} ", tag("code", run.id), ": ", _cut(reason))
        for run, reason in failed[:_MOST_FAILURES]
    ]
    if (more := len(failed) - _MOST_FAILURES) > 0:
        lines.append(tag("li", f"and {more} more"))
    return tag(
        "details", tag("summary", f"{count(len(failed), 'run')} failed"), tag("ul", *lines), class_="failed", open=True
    )


def _cut(reason: str) -> str:
    return reason if len(reason) <= _LONGEST else f"{reason[:_LONGEST]}…"
