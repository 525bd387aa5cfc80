"""A leaderboard as text: long and wide CSV, Markdown, LaTeX, JSON, and a table for the terminal."""

from __future__ import annotations

import csv
import io
import itertools
import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import msgspec

from optathlon.results.board.model import Leaderboard
from optathlon.results.readable import in_json, one_line
from optathlon.results.text.latex import latex
from optathlon.results.text.table import table
from optathlon.results.text.wording import Shown, metric, with_names

Format = Literal["csv", "wide", "md", "latex", "json", "table"]
# Also as East Asian keyboards write them, which spreadsheets take for the same.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
_MARKUP = str.maketrans({c: f"\\{c}" for c in "\\`*|<~&$"})
# Between letters it means nothing, so that names like batch_size stay legible in the source.
_UNDERSCORE = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")


def render(board: Leaderboard, format: Format = "table", *, color: bool = False, width: int | None = None) -> str:
    """`board` as text that ends in a newline: long or wide CSV, Markdown, LaTeX, JSON or an aligned table.

    color: with terminal escapes; width: in at most so many cells a line; both only of the table. ValueError for another
    format.
    """
    if format == "table":
        return table(board, color=color, width=width)
    writers: dict[str, Callable[[Leaderboard], str]] = {
        "csv": _long,
        "wide": _wide,
        "md": _markdown,
        "latex": latex,
        "json": _json,
    }
    if format not in writers:
        raise ValueError(f"format {format!r}: must be one of {', '.join([*writers, 'table'])}")
    return writers[format](board)


def _long(board: Leaderboard) -> str:
    header, lines = board.long_table()
    return _csv(header, lines)


def _wide(board: Leaderboard) -> str:
    header = ["row", "optimizer"]
    for column in board.columns:
        title = f"{column.label} {column.metric}"
        header += [title, f"{title} std", f"{title} n", f"{title} status"]
    lines = []
    for row in board.rows:
        cells = [v for cell in row.cells for v in (cell.mean, cell.std, cell.n, cell.status)]
        lines.append([row.name, row.optimizer, *cells, row.mean_rank, "optimizer"])
    for row in board.references:
        cells = [v for value in row.values for v in (value, None, None, None)]
        lines.append([row.name, None, *cells, None, "reference"])
    part = board.on and len(board.on) < len(board.columns)
    header.append(f"mean_rank over {';'.join(board.on)}" if part else "mean_rank")
    header.append("kind")
    return _csv(_no_formulas(header), map(_no_formulas, lines))


def _no_formulas(line: Iterable[Any]) -> list[Any]:
    """`line` with an apostrophe before each text that a spreadsheet would carry out."""
    return [f"'{v}" if isinstance(v, str) and v.startswith(_FORMULA) else v for v in line]


def _csv(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([_field(value) for value in line] for line in lines)
    return text.getvalue()


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return json.dumps(value)
    return repr(value) if isinstance(value, float) else str(value)


def _json(board: Leaderboard) -> str:
    return in_json(json.dumps(msgspec.to_builtins(board), indent=1, ensure_ascii=False, allow_nan=False)) + "\n"


def _markdown(board: Leaderboard) -> str:
    board = with_names(board, _unmarked)
    shown = Shown(board)
    lines = [["optimizer", *(f"{c.label}<br>{metric(c)}" for c in board.columns), *shown.rank_title]]
    for row in itertools.chain(*shown.groups()):
        name = shown.row(row)
        cells = [f"**{text}**" if cell.best else text for cell, text in shown.cells(row)]
        lines.append([name, *cells, *shown.mean_rank(row)])
    lines += shown.references()
    if board.across == "optimizers":
        lines[0] = ["task", *(head.replace("<br>", " ") for head in lines[0][1:])]
        lines = [list(line) for line in zip(*lines, strict=True)]
    lines.insert(1, [":--", *("--:" for _ in lines[0][1:])])
    text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    notes = "".join(f"{mark} {note}<br>\n" for mark, note in shown.footnotes())
    said = "".join(f"\n{line}\n" for line in [shown.caption(), *shown.verdicts()])
    return f"{text}{said}" + (f"\n{notes}" if notes else "")


def _unmarked(text: str) -> str:
    """`text` as Markdown shows it to the letter."""
    escaped = one_line(text).translate(_MARKUP).replace("](", r"]\(")
    return _UNDERSCORE.sub(lambda found: r"\_" * len(found[0]), escaped)
