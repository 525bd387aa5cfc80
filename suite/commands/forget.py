"""Move one run's record and work to the store's trash, so that the next launch runs it again."""

from __future__ import annotations

import argparse

from optathlon.results import Store
from optathlon.suite.console import add_json, add_store, print_json, say


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="the run's id, all 16 digits")
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    folder = Store(args.store).forget(args.run)
    say(f"moved to {folder}; the next launch of its sweep runs it again")
    if args.json:
        print_json({"run": args.run, "moved_to": str(folder)})
    return 0
