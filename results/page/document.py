"""The whole page as one HTML document, which asks for nothing from anywhere."""

from __future__ import annotations

import collections
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from optathlon.results.analysis.learning_curves import AREA_POINTS, POINTS
from optathlon.results.analysis.seeds_needed import Need
from optathlon.results.page.markup import Html, join, tag, text
from optathlon.results.page.overall import overall
from optathlon.results.page.printed import printed
from optathlon.results.page.published import published
from optathlon.results.page.report import Report
from optathlon.results.page.table import leaderboard
from optathlon.results.page.task import task_section
from optathlon.results.page.words import CHANCE, count, listed, to_decide, verdict
from optathlon.results.plots.style import MOST_COLORED
from optathlon.results.record import flat
from optathlon.results.statistics.planner import POWER

FOLDER = Path(__file__).resolve().parent
_MOST_PROBLEMS, _MOST_VERSIONS = 50, 5
# As many tasks as a board has at most that is printed on upright paper.
_MOST_UPRIGHT = 8
_LANDSCAPE = "@page { size: A4 landscape; }\n"


def html(report: Report) -> str:
    """The page of `report`. The same report gives the same text."""
    sections = [
        ("board", "Leaderboard", join([leaderboard(report), printed(report.printed)])),
        ("over-tasks", "Over all tasks", overall(report)),
        ("tasks", "Task by task", join(task_section(report, column) for column in report.board.columns)),
        ("published", "Beside the published numbers", published(report)),
        ("method", "How each figure is computed", _method(report)),
    ]
    body = [tag("section", tag("h2", title), content, id=f"section-{name}") for name, title, content in sections]
    parts = {
        "title": text(f"{report.board.name}: leaderboard"),
        "header": join([_header(report), _navigation(report, sections)]),
        "main": join([_summary(report), *body]),
        "footer": _footer(report),
        "style": _asset("page.css") + (_LANDSCAPE if len(report.board.columns) > _MOST_UPRIGHT else ""),
        "script": _asset("page.js"),
    }
    return string.Template(_asset("page.html")).substitute(parts)


def _method(report: Report) -> Html:
    """How each figure is computed, in this page's terms."""
    board = report.board
    selection = (
        "Of each row the setting with the best mean validation score over the tuning seeds, reported on the test "
        "metric with other seeds. Settings with a diverged seed come after all others; ties go to fewer updates, then "
        "to the sweep’s order. A winner with the smallest or largest value tried is on the edge of the grid: the best "
        "may lie outside."
    )
    parts = {
        "selection": selection if report.winners else "Nothing is selected: every setting is a row of its own.",
        "baseline": text(board.baseline or "the baseline"),
        "family": count(board.family, "comparison"),
        "alpha": f"{board.alpha:g}",
        "level": f"{board.alpha:g} / {max(1, board.family)}",
        "power": f"{100 * POWER:.0f} %",
        "ddof": board.ddof,
        "points": POINTS,
        "area_points": AREA_POINTS,
        "colors": MOST_COLORED,
    }
    return Html(string.Template(_asset("method.html")).substitute(parts))


def _asset(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _header(report: Report) -> Html:
    board = report.board
    size = f"{count(len(board.rows), 'row')} on {count(len(board.columns), 'task')}"
    base = f", against {board.baseline}" if board.baseline is not None else ""
    scale = f", at {board.scale} scale" if board.scale != "paper" else ""
    return tag("div", tag("h1", board.name), tag("p", size, base, scale, "."), class_="head")


def _navigation(report: Report, sections: Iterable[tuple[str, str, Any]]) -> Html:
    of_page = [tag("a", title, href=f"#section-{name}") for name, title, _ in sections]
    of_tasks = [tag("a", c.name, href=f"#{report.anchors[c.name]}") for c in report.board.columns]
    return tag("nav", tag("div", *of_page), tag("div", *of_tasks, class_="sub"), aria_label="sections")


def _summary(report: Report) -> Html:
    """What the board shows, and what it does not, in sentences; and what could not be read."""
    sentences = [_shown(report), _ties(report), _nearest(report), _left(report), _stand_in(report)]
    problems = [tag("li", problem) for problem in report.problems[:_MOST_PROBLEMS]]
    if (more := len(report.problems) - _MOST_PROBLEMS) > 0:
        problems.append(tag("li", f"and {more} more"))
    warning = None
    if problems:
        head = tag("p", tag("b", f"{count(len(report.problems), 'file')} of the store left out, in no number here:"))
        warning = tag("div", head, tag("ul", *problems), class_="warning")
    return tag("section", *(tag("p", s) for s in sentences if s), warning, class_="summary", aria_label="summary")


def _shown(report: Report) -> str:
    board = report.board
    if board.baseline is None:
        return "There is no baseline, so nothing is compared with one."
    kinds = collections.Counter(
        verdict(board, column, row.name, cell).kind
        for row in board.rows
        for column, cell in zip(board.columns, row.cells, strict=True)
    )
    if not board.family:
        return f"No difference to {board.baseline} is tested: one seed, no spread, or seeds to come."
    better, worse, tied = kinds["better"], kinds["worse"], kinds["tied"]
    tested = sum(cell.p is not None for row in board.rows for cell in row.cells)
    compared = f"{count(tested, 'comparison')} with {board.baseline}"
    if not better and not worse:
        return f"None of {compared} is shown to be a difference."
    shown = f"{better} {'is' if better == 1 else 'are'} shown to be better and {worse} worse"
    return f"Of {compared}, {shown}; {tied} {'is' if tied == 1 else 'are'} not separable from it."


def _ties(report: Report) -> str:
    several = []
    for column in report.board.columns:
        near = sum(cell.tied for _, cell in report.cells(column))
        several += [column.name] if near > 1 else []
    if not several:
        return ""
    on = f"all {len(several)} tasks" if len(several) == len(report.board.columns) > 1 else listed(several)
    on = on if len(several) <= 3 or on.startswith("all") else f"{len(several)} of {len(report.board.columns)} tasks"
    return f"On {on} the best is not separable from another row."


def _nearest(report: Report) -> str:
    """The undecided comparison that the fewest further seeds would decide."""
    open_ = [need for need in report.needs.values() if not need.decided and need.more is not None]
    if not open_:
        return ""
    need: Need = min(open_, key=lambda n: n.more or 0)
    return f"Nearest to a decision: {need.row} on {need.task}; {to_decide(need)} it ({CHANCE})."


def _left(report: Report) -> str:
    """How many runs are done, and how many that are wanted are not: report runs of settings not chosen never are."""
    results = report.results
    runs = {run.id: run for run in results.plan.runs}
    done = [results.records[run] for run in runs if run in results.records]
    left = collections.Counter(results.states[run].kind for run in runs if run in results.states)
    cells = [cell for row in report.board.rows for cell in row.cells]
    to_come = sum(c.n_planned - c.n - c.n_diverged - c.n_failed for c in cells)
    open_ = {run for run, state in results.states.items() if state.kind != "failed"}
    to_come += sum(run.role == "tune" and run.id in open_ for run in runs.values())
    lost = sum(record.status == "diverged" for record in done)
    diverged = f", {lost} of them diverged" if lost else ""
    running = f" ({left['running']} running)" if left["running"] else ""
    words = [f"{to_come} to come{running}"] if to_come else []
    words += [f"{left['failed']} failed"] if left["failed"] else []
    if not words:
        return f"All {count(len(done), 'run')} are done{diverged}."
    return f"{count(len(done), 'run')} done{diverged}; {listed(words)}."


def _stand_in(report: Report) -> str:
    """Which runs are not what the papers ran, by scale and editions of the data."""
    known = [flat(report.problem(column)) for column in report.board.columns]
    scales = sorted({str(of["scale"]) for of in known if of.get("scale", "paper") != "paper"})
    editions = sorted({str(v) for of in known for k, v in of.items() if k.startswith("data.") and v != "official"})
    what = [*(f"at {scale} scale" for scale in scales), *(f"on {edition} data" for edition in editions)]
    return f"Runs {listed(what)}: these numbers do not compare with the papers’." if what else ""


def _footer(report: Report) -> Html:
    provenances = [record.provenance for record in report.whole.values()]
    codes = collections.Counter(_code(_table(p, "code")) for p in provenances)
    versions = collections.Counter(_versions(_table(p, "versions")) for p in provenances)
    machines = collections.Counter(str(_table(p, "machine").get("device") or "") for p in provenances)
    ended = max((str(p["ended"]) for p in provenances if p.get("ended")), default="")
    lines = [
        ("Written by", join([tag("code", report.command), " ", _code(report.code)]) if report.command else None),
        ("Runs made with", "; ".join(_counted(codes))),
        ("Versions", "; ".join(_counted(versions))),
        ("Devices", "; ".join(_counted(machines))),
        ("Last run ended", ended),
        ("Plan", tag("code", report.plan.head.digest[:16]) if report.plan.head.digest else None),
    ]
    return tag("dl", *(join([tag("dt", term), tag("dd", words)]) for term, words in lines if words))


def _table(provenance: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """A part of what a record says of its making, which nothing checks."""
    part = provenance.get(key)
    return part if isinstance(part, Mapping) else {}


def _code(code: Mapping[str, Any]) -> str:
    parts = (("optathlon", "version", None), ("commit", "commit", 12), ("tree", "tree", None))
    return ", ".join(f"{word} {str(code[key])[:length]}" for word, key, length in parts if code.get(key))


def _versions(known: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in known.items() if version)


def _counted(found: collections.Counter[str]) -> list[str]:
    """Most frequent first, with counts where there are several."""
    named = sorted(((n, word) for word, n in found.items() if word), key=lambda pair: (-pair[0], pair[1]))
    words = [f"{word} ({count(n, 'run')})" if len(named) > 1 else word for n, word in named[:_MOST_VERSIONS]]
    return words + ([f"{len(named) - _MOST_VERSIONS} more"] if len(named) > _MOST_VERSIONS else [])
