"""Where launched sweeps stand: every run's state, read from files."""

from __future__ import annotations

import argparse

from results import Store
from slurm.local import LocalCluster
from suite import launch, progress, status, sweep
from suite.console import add_json, add_store, print_json, say, table
from suite.errors import INCOMPLETE


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all)")
    parser.add_argument("--check", action="store_true", help="exit with 3 unless every run has its outcome")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    names = [sweep.name_of(args.sweep)] if args.sweep else store.plan_names()
    if not names:
        say(f"no sweep was launched in {args.store}")
    seen = [status.overview(store, store.plan(name)) for name in names]
    workers = {name: len(launch.live_workers(store, LocalCluster(), name)) for name in names}
    if args.json:
        print_json({"sweeps": [_document(s, workers[s.plan.head.name]) for s in seen]})
    else:
        for each in seen:
            print(_text(each, workers[each.plan.head.name]))
    return INCOMPLETE if args.check and any(s.left or s.counts["failed"] for s in seen) else 0


def _document(seen: status.Overview, workers: int) -> dict:
    cells = [{"row": row, "task": column, **counts} for (row, column), counts in seen.cells.items()]
    return {
        "sweep": seen.plan.head.name,
        "runs": seen.total,
        "counts": {kind: seen.counts[kind] for kind in status.KINDS},
        "workers": workers,
        "cells": cells,
        "running": [
            {"run": r.run.id, "row": r.run.row, "task": r.run.column, "progress": r.progress} for r in seen.running
        ],
        "errors": [{"reason": reason, "runs": runs} for reason, runs in seen.errors],
        "hours_left": seen.remaining,
    }


def _text(seen: status.Overview, workers: int) -> str:
    kinds = [kind for kind in status.KINDS if seen.counts[kind]]
    rows = [
        (column, row, *(counts[k] for k in kinds))
        for (row, column), counts in sorted(seen.cells.items(), key=lambda c: (c[0][1], c[0][0]))
    ]
    lines = [progress.line(seen, workers), "", table(rows, ("task", "row", *kinds))]
    for reason, runs in seen.errors:
        lines.append(f"failed: {reason} ({len(runs)}: {', '.join(runs[:3])}{', ...' if len(runs) > 3 else ''})")
    return "\n".join([*lines, ""])
