"""What a sweep would run, and what of it is done. Writes nothing."""

from __future__ import annotations

import argparse

from results import Store
from suite import status, sweep
from suite.console import add_data, add_json, add_store, print_json, say, table
from suite.plan import expand


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a sweep file, or the name of a built-in one")
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    plan = expand(sweep.load(sweep.find(args.sweep)), args.data)
    seen = status.overview(store, plan)
    tried: dict[tuple[str, str], set[str]] = {}
    for run in plan.runs:
        tried.setdefault((run.row, run.column), set()).add(run.setting)
    rows = []
    for (row, column), counts in seen.cells.items():
        done = counts["finished"] + counts["diverged"]
        rows.append(
            (column, row, len(tried[row, column]), counts.total(), done, counts["failed"], counts.total() - done)
        )
    if args.json:
        keys = ("task", "row", "settings", "runs", "done", "failed", "to_do")
        cells = [dict(zip(keys, r, strict=True)) for r in rows]
        print_json({"sweep": plan.head.name, "digest": plan.head.digest, "cells": cells, "hours_left": seen.remaining})
        return 0
    print(table(sorted(rows), ("task", "row", "settings", "runs", "done", "failed", "to do")))
    left = f", about {seen.remaining:.2g} hours of one slot" if seen.remaining else ""
    say(f"{plan.head.name}: {seen.total} runs, {seen.total - seen.left} done or failed, {seen.left} to do{left}")
    return 0
