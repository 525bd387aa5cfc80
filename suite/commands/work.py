"""The worker that a launch starts: takes free runs of a plan until none is left. Not for people."""

from __future__ import annotations

import argparse
from pathlib import Path

from results import Store
from suite.console import add_data, add_store
from suite.sweep import look_beside


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep")
    parser.add_argument("plan", type=int)
    parser.add_argument("--stage", choices=("tune", "report", "all"), default="all")
    parser.add_argument("--slots", type=int)
    parser.add_argument("--data-workers", type=int, default=0)
    parser.add_argument("--beside", type=Path, help="where modules of the sweep's own tasks and optimizers are")
    add_store(parser)
    add_data(parser)


def main(args: argparse.Namespace) -> int:
    from suite.worker import Assignment, Worker

    if args.beside:
        look_beside(args.beside)
    store = Store(args.store)
    given = Assignment(
        store=store,
        plan=store.plan(args.sweep, args.plan),
        data=args.data,
        stage=args.stage,
        slots=args.slots,
        data_workers=args.data_workers,
    )
    return Worker(given).work()
