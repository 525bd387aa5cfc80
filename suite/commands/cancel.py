"""Ask a sweep's workers to stop. Their runs are saved and go on with the next launch."""

from __future__ import annotations

import argparse

from results import Store
from suite import launch, sweep
from suite.console import add_json, add_store, print_json, say


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a launched sweep's name or file")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    name = sweep.name_of(args.sweep)
    store.plan(name)
    asked = launch.cancel(store, name)
    say(f"{name}: {len(asked)} workers asked to stop" if asked else f"{name}: no worker of it is alive on this machine")
    if args.json:
        print_json({"sweep": name, "cancelled": asked})
    return 0
