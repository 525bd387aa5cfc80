"""All records of a store, or of one sweep, as one Parquet file for notebooks and databases."""

from __future__ import annotations

import argparse
from pathlib import Path

from optathlon.results import Store
from optathlon.results.store.parquet import write_parquet
from optathlon.suite.commands import _boards
from optathlon.suite.console import add_store, say
from optathlon.suite.errors import OK
from optathlon.suite.planning import sweep_reader


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all runs)")
    parser.add_argument("--parquet", type=Path, required=True, metavar="FILE", help="the file to write")
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    _boards.check_output("--parquet", args.parquet)
    store = Store(args.store)
    ids = {run.id for run in store.plan(sweep_reader.name_of(args.sweep)).runs} if args.sweep else None
    records = store.records(ids)
    references = store.references({record.digests.problem for record in records})
    _boards.tell_problems(store)
    with _boards.writing("--parquet", args.parquet):
        write_parquet(records, args.parquet, references)
    say(f"written: {args.parquet}, {len(records)} runs")
    return OK
