"""Ask a sweep's workers to stop, here and on the cluster. Their runs are saved and go on with the next launch."""

from __future__ import annotations

import argparse

from optathlon.results import Store
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_json, add_store, print_json, say
from optathlon.suite.monitoring import alive_workers


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a launched sweep's name or file")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    name = chosen_boards.stored_name(store, args.sweep)
    store.plan(name)
    asked = alive_workers.cancel(store, name)
    what = f"asked to stop: {', '.join(asked)}" if asked else "no worker of it is alive, as seen from here"
    say(f"{name}: {what}")
    if args.json:
        print_json({"sweep": name, "cancelled": asked})
    return 0
