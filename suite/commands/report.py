"""The page: one self-contained HTML file of a sweep's board, curves, settings, runs and verdicts."""

from __future__ import annotations

import argparse
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from optathlon.results import Store, SweepResults, leaderboard_of_records
from optathlon.results.page.document import html
from optathlon.results.page.report import Again, Report, results_of_records
from optathlon.results.papers.ledger import Entry, Sweep, ledger
from optathlon.results.papers.published import published
from optathlon.results.record import Record
from optathlon.results.sweep_results import shown_curves
from optathlon.suite.code import code
from optathlon.suite.commands.ledger import deviations
from optathlon.suite.commands.shared import chosen_boards, recreation
from optathlon.suite.console import add_store, say
from optathlon.suite.errors import OK, UsageError
from optathlon.suite.user_modules import look_beside

DEFAULT = Path("report.html")


def configure(parser: argparse.ArgumentParser) -> None:
    chosen_boards.add_part(parser, "the store's only one; all records, if there is none")
    chosen_boards.add_highlight(parser)
    parser.add_argument("--output", type=Path, default=DEFAULT, metavar="FILE", help=f"default: {DEFAULT}")
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    chosen_boards.check_output("--output", args.output)
    # The commands of users' own optimizers and tasks are proven with their files, as `show` proves them.
    look_beside(Path.cwd())
    store = Store(args.store)
    if chosen_boards.names(store, args.sweep) or args.tasks or args.optimizers:
        report = _of_sweep(store, args)
    else:
        report = _of_records(store, args)
    chosen_boards.write("--output", args.output, html(report))
    say(f"written: {args.output}")
    return OK


def _of_sweep(store: Store, args: argparse.Namespace) -> Report:
    results = chosen_boards.single_sweep(store, args)
    told = len(store.problems)
    whole = shown_curves(store, results.board)
    for problem in store.problems[told:]:
        say(f"left out: {problem}")
    words = ["optathlon", "report", results.board.name]
    words += ["--tasks", *args.tasks] if args.tasks else []
    words += ["--optimizers", *args.optimizers] if args.optimizers else []
    words += ["--highlight", *args.highlight] if args.highlight else []
    return Report(
        results,
        whole,
        highlight=chosen_boards.highlighted(results, args.highlight),
        commands=_commands(results, whole),
        entries=_entries(results),
        printed=results.printed(),
        problems=store.problems,
        command=shlex.join(words),
        code=code(),
    )


def _entries(results: SweepResults) -> list[Entry]:
    of_problem = {digest: deviations(problem) for digest, problem in results.plan.head.problems.items()}
    return ledger(
        published(), [Sweep(plan=results.plan, board=results.board, records=results.records, deviations=of_problem)]
    )


def _of_records(store: Store, args: argparse.Namespace) -> Report:
    records = store.records(curves=True)
    references = store.references({record.digests.problem for record in records})
    chosen_boards.tell_problems(store)
    if not records:
        raise chosen_boards.nothing_there(store)
    results = results_of_records(leaderboard_of_records(records, references=references), records)
    return Report(
        results,
        results.records,
        highlight=chosen_boards.highlighted(results, args.highlight),
        commands=_commands(results, results.records),
        problems=store.problems,
        command="optathlon report",
        code=code(),
    )


def _commands(results: SweepResults, whole: Mapping[str, Record]) -> dict[tuple[str, str], list[Again]]:
    """By row and column what carries out the cell's runs again: one command per setting, as seeds are all that differs
    between runs of one."""
    commands: dict[tuple[str, str], list[Again]] = {}
    for row in results.board.rows:
        for column, cell in zip(results.board.columns, row.cells, strict=True):
            by_setting: dict[str, list[Record]] = {}
            for record in (whole[run] for run in cell.runs if run in whole):
                by_setting.setdefault(record.digests.setting, []).append(record)
            commands[row.name, column.name] = [again for runs in by_setting.values() if (again := _again(runs))]
    return commands


def _again(runs: Sequence[Record]) -> Again | None:
    """None without a command (another version of the task, say): `optathlon show RUN` says why."""
    try:
        return Again(command=recreation.command(runs[0]), other_seeds=[record.seed for record in runs[1:]])
    except UsageError:
        return None
