"""The leaderboard of a sweep: mean ± sample deviation over seeds, count, difference to the baseline."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from optathlon.results import Leaderboard, Store, SweepResults, leaderboard_of_records, load_results
from optathlon.results.analysis.cost_board import cost_board
from optathlon.results.papers.beside import with_published
from optathlon.results.papers.published import published
from optathlon.results.sweep_results import shown_curves
from optathlon.results.text import formats
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.commands.summary import add_target, targets
from optathlon.suite.console import add_store, columns, say, write_data
from optathlon.suite.errors import INCOMPLETE, UsageError

FORMATS = ("table", "csv", "wide", "md", "latex", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    chosen_boards.add_part(parser)
    chosen_boards.add_on(parser)
    parser.add_argument("--plain", action="store_true", help="every task and row, even if the sweep has a [table]")
    parser.add_argument(
        "--by", choices=("time", "memory"),
        help="costs instead of scores: seconds of updates to a --target, or memory at most",
    )  # fmt: skip
    add_target(parser)
    parser.add_argument("--format", choices=FORMATS, default="table")
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="the same as --format json")
    parser.add_argument("--output", type=Path, help="a file instead of stdout")
    parser.add_argument("--strict", action="store_true", help="exit with 3 if a planned run has no outcome")
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    if args.target and args.by != "time":
        raise UsageError("--target: is what --by time counts to")
    if args.output:
        chosen_boards.check_output("--output", args.output)
    store = Store(args.store)
    plain = args.plain or args.on != ["complete"]
    printed = not (plain or args.by or args.tasks or args.optimizers)
    boards = [
        _shown(store, results, args, printed=printed)
        for results in chosen_boards.sweep_results(store, args, printed=printed)
    ]
    if not boards:
        if args.tasks or args.optimizers or args.by or args.on != ["complete"]:
            raise UsageError(f"{store.root} has no sweep to take a part of")
        records = store.records(brief=True)
        references = store.references({record.digests.problem for record in records})
        chosen_boards.tell_problems(store)
        if not records:
            raise chosen_boards.nothing_there(store)
        boards = [leaderboard_of_records(records, references=references)]
    if len(boards) > 1 and args.format not in ("table", "md", "latex"):
        names = ", ".join(board.name for board in boards)
        raise UsageError(f"--format {args.format} is one board; name a sweep: {names}")
    if args.on == ["common"]:
        for board in boards:
            if not board.on:
                say(f"{board.name}: there is no task that every row has; --optimizers shows fewer rows")
    color = args.output is None and sys.stdout.isatty() and "NO_COLOR" not in os.environ
    width = None if args.output else columns(sys.stdout)
    text = "\n".join(formats.render(board, args.format, color=color, width=width) for board in boards)
    if args.output:
        chosen_boards.write("--output", args.output, text)
        say(f"written: {args.output}")
    else:
        write = sys.stdout.write if args.format == "table" else write_data
        write(text)
    cells = [cell for board in boards for row in board.rows for cell in row.cells if cell.n_planned]
    return INCOMPLETE if args.strict and any(cell.status in ("incomplete", "missing") for cell in cells) else 0


def _shown(store: Store, results: SweepResults, args: argparse.Namespace, *, printed: bool) -> Leaderboard:
    """The board of scores, or of costs, which are judged over the whole plan as scores are. printed: as the sweep's
    [table] says, with the paper's numbers where it names a table of one."""
    if not args.by:
        return with_published(results.board, results.plan, published()) if printed else results.board
    whole = load_results(store, store.plan(results.plan.head.name)).board
    return cost_board(whole, shown_curves(store, whole), args.by, targets(results, args.target), part=results.board)
