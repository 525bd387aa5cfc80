"""Drop checkpoints and logs of finished runs; records, plans and everything else stay."""

from __future__ import annotations

import argparse

from results import Store
from suite.console import add_json, add_store, print_json, say


def configure(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    freed = Store(args.store).clean()
    say(f"freed {freed / 1e6:.1f} MB in {args.store}")
    if args.json:
        print_json({"freed_bytes": freed})
    return 0
