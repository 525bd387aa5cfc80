"""The papers' numbers beside ours: the interval of the difference, and whether that shows a reproduction."""

from __future__ import annotations

import argparse
import collections
import fnmatch
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from optathlon import tasks
from optathlon.results import Store, load_results
from optathlon.results.hyperparameter_text import differing
from optathlon.results.papers.ledger import MARGIN, VERDICTS, Entry, Sweep, expected_false, ledger
from optathlon.results.papers.published import published
from optathlon.results.plan import Plan
from optathlon.results.record import flat
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, show, table


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all)")
    parser.add_argument("--task", default="*", metavar="PATTERN", help="only tasks whose name matches, such as 'ptb-*'")
    parser.add_argument("--all", action="store_true", help="also published numbers that nothing here was run for")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    sweeps = [_ledger_sweep(store, plan) for plan in chosen_boards.plans(store, args.sweep)]
    chosen_boards.tell_problems(store)
    entries = ledger([p for p in published() if fnmatch.fnmatchcase(p.task, args.task)], sweeps)
    counts = collections.Counter(entry.verdict for entry in entries)
    shown = [entry for entry in entries if args.all or entry.row]
    if args.json:
        document = {"counts": {v: counts[v] for v in VERDICTS}, "expected_false": expected_false(entries)}
        print_json({**document, "entries": [msgspec.to_builtins(e) for e in shown]})
    else:
        if shown:
            show(table(map(_row, shown), _HEAD))
            print()
        show(", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS))
        show("\n".join(_explained(entries)))
        show("\n".join(_notes(shown)))
    return 0


def _ledger_sweep(store: Store, plan: Plan) -> Sweep:
    results = load_results(store, plan)
    return Sweep(
        plan=plan,
        board=results.board,
        records=results.records,
        deviations={digest: deviations(problem) for digest, problem in plan.head.problems.items()},
    )


def deviations(problem: Mapping[str, Any]) -> list[str]:
    """How the protocol of a problem at the paper's scale differs from the one its task declares."""
    if problem.get("scale") != "paper" or problem.get("task") not in tasks.names():
        return []
    theirs = flat(msgspec.to_builtins(tasks.task(problem["task"]).protocol("paper")))
    ours = flat(problem.get("protocol", {}))
    return [f"protocol.{k}={ours.get(k)}, the paper's {theirs.get(k)}" for k in differing([ours, theirs])]


def _explained(entries: list[Entry]) -> list[str]:
    """What the verdicts mean, where there is one, and how many of them may be false."""
    if not (judged := sum(entry.judged for entry in entries)):
        return []
    return [
        f"reproduced: equivalent, the 95 % interval of ours - theirs lies within ± {MARGIN:g} deviations between runs; "
        "differs: it leaves out 0; could not tell: neither, more seeds would",
        f"of {judged} numbers judged, at most {expected_false(entries):.2g} verdicts are expected to be false",
    ]


_HEAD = ("task", "row", "metric", "theirs", "±", "ours", "±", "n", "ours - theirs", "95 % interval", "margin",
         "verdict", "table")  # fmt: skip


def _row(entry: Entry) -> tuple[str, ...]:
    theirs = entry.published
    return (
        theirs.task,
        entry.row or theirs.optimizer,
        theirs.metric,
        f"{theirs.mean:g}",
        _number(theirs.std),
        _number(entry.mean),
        _number(entry.std),
        str(entry.n or "-"),
        _number(entry.difference, "+"),
        f"{_number(entry.low, '+')} to {_number(entry.high, '+')}" if entry.judged else "-",
        _number(entry.margin if entry.judged else None),
        entry.verdict,
        theirs.table,
    )


def _number(value: float | None, sign: str = "") -> str:
    return "-" if value is None else f"{value:{sign}.2f}"


def _notes(entries: Iterable[Entry]) -> list[str]:
    notes = dict.fromkeys(f"{e.row} on {e.published.task}: {note}" for e in entries if e.row for note in e.notes)
    printed = dict.fromkeys(f"{e.published.table}, {e.published.task}: {e.published.note}" for e in entries)
    return [*notes, *(note for note in printed if not note.endswith(": "))]
