"""The leaderboard of a sweep: mean ± sample deviation over seeds, count, difference to the baseline."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from results import Store, formats, leaderboard, leaderboard_of_records
from suite import sweep
from suite.console import add_store, say
from suite.errors import INCOMPLETE, UsageError

FORMATS = ("table", "csv", "wide", "md", "latex", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sweep", nargs="?", help="a launched sweep's name or file (default: every sweep, else all runs)"
    )
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("--output", type=Path, help="a file instead of stdout")
    parser.add_argument("--strict", action="store_true", help="exit with 3 if a planned run has no outcome")
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    names = [sweep.name_of(args.sweep)] if args.sweep else store.plan_names()
    boards = []
    for name in names:
        plan = store.plan(name)
        ids = dict.fromkeys(r.id for r in plan.runs)
        boards.append(leaderboard(plan, store.records(ids), store.states(ids)))
    if not names:
        boards.append(leaderboard_of_records(store.records()))
    if len(boards) > 1 and args.format not in ("table", "md", "latex"):
        raise UsageError(f"--format {args.format} is one board; name a sweep: {', '.join(names)}")
    color = args.output is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    text = "\n".join(formats.render(board, args.format, color=color) for board in boards)
    for problem in store.problems:
        say(f"left out: {problem}")
    if args.output:
        args.output.write_text(text, encoding="utf-8")
        say(f"written: {args.output}")
    else:
        sys.stdout.write(text if text.endswith("\n") else text + "\n")
    cells = [cell for board in boards for row in board.rows for cell in row.cells if cell.n_planned]
    return INCOMPLETE if args.strict and any(cell.status in ("incomplete", "missing") for cell in cells) else 0
