"""How many more seeds would decide a sweep's comparisons with its baseline."""

from __future__ import annotations

import argparse

import msgspec

from optathlon.results import Store
from optathlon.results.analysis.seeds_needed import Need, needs
from optathlon.results.statistics.planner import POWER
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, show, table
from optathlon.suite.errors import FAILED, OK, UsageError


def configure(parser: argparse.ArgumentParser) -> None:
    chosen_boards.add_part(parser)
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    if not chosen_boards.names(store, args.sweep):
        raise UsageError(f"{store.root} has no sweep yet; launch one")
    seeds_needed = {
        results.plan.head.name: needs(results.board) for results in chosen_boards.sweep_results(store, args)
    }
    if args.json:
        document = {name: [msgspec.to_builtins(need) for need in listed] for name, listed in seeds_needed.items()}
        print_json({"power": POWER, "sweeps": document})
    else:
        show("\n\n".join(_text(name, listed) for name, listed in seeds_needed.items()))
    return OK if any(seeds_needed.values()) else FAILED


def _text(name: str, listed: list[Need]) -> str:
    if not listed:
        return f"{name}: nothing to plan: no baseline, or no complete cell to compare with it"
    rows = [
        (
            *(n.task, n.row, f"{n.delta:+.4g}", _direction(n)),
            *("-" if n.deviation is None else f"{n.deviation:.4g}", n.n, _more(n)),
        )
        for n in listed
    ]
    head = ("task", "row", "difference", "direction", "deviation", "seeds", "to decide it")
    return "\n".join(
        [
            f"{name}: against {listed[0].baseline}, with {POWER:.0%} power by the board's moderated t test at the "
            "level that Holm asks of its smallest p, if the true difference is the observed one",
            "",
            table(rows, head),
            "",
            "A difference that was noticed because it is large is larger than the true one: plan with more.",
        ]
    )


def _direction(need: Need) -> str:
    """Whether the row is ahead, whichever way the score counts."""
    if not need.delta:
        return "-"
    word = "better" if need.better else "worse"
    return word if need.decided else f"{word}, not shown"


def _more(need: Need) -> str:
    if need.decided:
        return "decided"
    if need.last_look is not None and need.more is None and need.chance is not None:
        return f"not by {need.last_look} seeds (chance {need.chance:.0%})"
    if need.more is None:
        return "over 1000 more seeds" if need.delta and need.deviation else "cannot be told"
    return f"{need.more} more seed{'s' if need.more > 1 else ''}"
