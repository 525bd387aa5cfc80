"""All records of a store, or of one sweep, as one Parquet file for notebooks and databases; their curves as another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from optathlon.results import Store
from optathlon.results.data_frames import Results
from optathlon.results.store.parquet import PLACE, write_curves, write_parquet
from optathlon.suite.commands import _boards
from optathlon.suite.console import add_store, say
from optathlon.suite.errors import OK
from optathlon.suite.planning import sweep_reader


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all runs)")
    parser.add_argument("--parquet", type=Path, required=True, metavar="FILE", help="the file to write")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="a second file, a line per point of their curves")
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    _boards.check_output("--parquet", args.parquet)
    if args.curves:
        _boards.check_output("--curves", args.curves)
    store = Store(args.store)
    sweep = sweep_reader.name_of(args.sweep) if args.sweep else None
    ids = {run.id for run in store.plan(sweep).runs} if sweep else None
    records = {record.id: record for record in store.records(ids)}
    _boards.tell_problems(store)
    results = Results(store)
    places = [place for place in _places(results, sweep) if place["run"] in records]
    references = store.references({record.digests.problem for record in records.values()})
    with _boards.writing("--parquet", args.parquet):
        write_parquet([records[place["run"]] for place in places], args.parquet, references, places)
    say(f"written: {args.parquet}, {len(places)} runs")
    if args.curves:
        points = results.curves()
        points = points[points["run"].isin(list(records))]
        with _boards.writing("--curves", args.curves):
            write_curves(points, args.curves)
        say(f"written: {args.curves}, {len(points)} points")
    return OK


def _places(results: Results, sweep: str | None) -> list[dict[str, Any]]:
    """Of each run its place in `sweep`, or in every sweep that has it; None where a value is missing."""
    frame = results.runs()
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in ("run", *PLACE)}
    places = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [place for place in places if sweep is None or place["sweep"] == sweep]
