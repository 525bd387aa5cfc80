"""Whether settings carry over between tasks: chosen on all other tasks, how much worse is one than the best on this?"""

from __future__ import annotations

import argparse
from pathlib import Path

import msgspec

from optathlon.results import Store
from optathlon.results.analysis.transfer import Carried, LeftOut, Transfer, transfer
from optathlon.results.hyperparameter_text import in_words
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, show, table
from optathlon.suite.errors import FAILED, OK, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file, or a store's folder (default: all)")
    parser.add_argument("--tasks", nargs="+", metavar="PATTERN", help="only these tasks: 'cub-*' cars-triplet")
    parser.add_argument("--optimizers", nargs="+", metavar="PATTERN", help="only rows of such a name or optimizer")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    if args.sweep and Path(args.sweep).is_dir():
        args.store, args.sweep = Path(args.sweep), None
    store = Store(args.store)
    if not chosen_boards.names(store, args.sweep):
        raise UsageError(f"{store.root} has no sweep yet; launch one")
    judged = {results.plan.head.name: transfer(results) for results in chosen_boards.sweep_results(store, args)}
    if args.json:
        document = {
            name: {"rows": msgspec.to_builtins(rows), "left_out": msgspec.to_builtins(left_out)}
            for name, (rows, left_out) in judged.items()
        }
        print_json({"sweeps": document})
    else:
        show("\n\n".join(_text(name, rows, left_out) for name, (rows, left_out) in judged.items()))
    return OK if any(rows for rows, _ in judged.values()) else FAILED


def _text(name: str, rows: list[Transfer], left_out: list[LeftOut]) -> str:
    lines = [f"{name}: settings chosen on all other tasks; regret in deviations between seeds"]
    if rows:
        head = ("row", "task", "chosen elsewhere", "regret", "at random", "of equals")
        lines += ["", table([_row(row, task) for row in rows for task in row.tasks], head), ""]
        lines += [_one_for_all(row) for row in rows]
        lines += ["of equals: what the best of so many equal settings is ahead by luck alone"]
        if any(row.on_test for row in rows):
            lines.append("nothing was tuned: the scores are test scores, and settings chosen by them are no test")
    return "\n".join([*lines, *(f"{each.row}: left out, {each.why}" for each in left_out)])


def _row(row: Transfer, task: Carried) -> tuple[str, ...]:
    chosen = in_words(task.hyperparameters, task.hyperparameters) + (" (the best here, too)" if task.kept else "")
    return row.row, task.task, chosen, _regret(task.regret), _regret(task.random), f"{task.luck:.2f}"


def _one_for_all(row: Transfer) -> str:
    words = in_words(row.one_hyperparameters, row.one_hyperparameters)
    regrets = [regret for regret in row.one_regrets if regret is not None]
    some = len(row.one_regrets) - len(regrets)
    cost = f"{sum(regrets) / len(regrets):.2f} on the mean, {max(regrets):.2f} at most" if regrets else "none"
    lost = f", diverged on {some}" if some else ""
    carried = "diverged somewhere" if row.mean_regret is None else f"{row.mean_regret:.2f}"
    return (
        f"{row.row}: {row.settings} settings on {len(row.tasks)} tasks; chosen elsewhere: mean regret {carried}; "
        f"one setting for all tasks, {words}: {cost}{lost}"
    )


def _regret(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.2f}"
