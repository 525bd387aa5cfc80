"""All records of a store, or of one sweep: as one Parquet file for notebooks and databases, their curves as another, or
for experiment trackers."""

from __future__ import annotations

import argparse
import importlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from optathlon.results import Store
from optathlon.results.data_frames import Results
from optathlon.results.record import Record
from optathlon.results.store.parquet import PLACE, write_curves, write_parquet
from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import add_store, say
from optathlon.suite.errors import OK, MachineError, UsageError
from optathlon.suite.trackers.tracked_run import tracked

TRACKERS = {
    "tensorboard": "TensorBoard's event files",
    "mlflow": "an MLflow database",
    "wandb-offline": "W&B runs, offline",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", nargs="?", help="a launched sweep's name or file (default: all runs)")
    parser.add_argument("--parquet", type=Path, metavar="FILE", help="a file to write, a line per run and sweep")
    parser.add_argument("--curves", type=Path, metavar="FILE", help="a Parquet file, a line per point of their curves")
    for tracker, what in TRACKERS.items():
        extra = _extra(tracker)
        parser.add_argument(
            f"--{tracker}", type=Path, metavar="DIR", help=f"{what}, in a new folder (pip install 'optathlon[{extra}]')"
        )
    add_store(parser)


def main(args: argparse.Namespace) -> int:
    _check(args)
    store = Store(args.store)
    sweep = chosen_boards.stored_name(store, args.sweep) if args.sweep else None
    ids = {run.id for run in store.plan(sweep).runs} if sweep else None
    records = {record.id: record for record in store.records(ids, curves=any(_folders(args).values()))}
    chosen_boards.tell_problems(store)
    if not records and not store.plan_names():
        raise chosen_boards.nothing_there(store)
    results = Results(store)
    places = [place for place in _places(results, sweep) if place["run"] in records]
    if args.parquet:
        references = store.references({record.digests.problem for record in records.values()})
        with chosen_boards.writing("--parquet", args.parquet):
            write_parquet([records[place["run"]] for place in places], args.parquet, references, places)
        say(f"written: {args.parquet}, {len(places)} runs")
    if args.curves:
        points = results.curves()
        points = points[points["run"].isin(list(records))]
        with chosen_boards.writing("--curves", args.curves):
            write_curves(points, args.curves)
        say(f"written: {args.curves}, {len(points)} points")
    for tracker, folder in _folders(args).items():
        if folder:
            _track(tracker, folder, records, places)
    return OK


def _check(args: argparse.Namespace) -> None:
    """UsageError, before anything is written, if nothing is asked for, or something cannot be written."""
    folders = _folders(args)
    if not (args.parquet or args.curves or any(folders.values())):
        options = ("parquet", "curves", *TRACKERS)
        raise UsageError(f"export: say what to write: {', '.join(f'--{option}' for option in options)}")
    for option in ("parquet", "curves"):
        if path := getattr(args, option):
            chosen_boards.check_output(f"--{option}", path)
    targets = [path.resolve() for path in (args.parquet, args.curves, *folders.values()) if path]
    if twice := [path for path in targets if targets.count(path) > 1]:
        raise UsageError(f"export: {twice[0]} is to be written twice; name another for each option")
    if args.mlflow and "?" in str(args.mlflow.resolve()):
        raise UsageError(f"--mlflow {args.mlflow}: MLflow cannot have a database in a folder with a ? in its name")
    for tracker, folder in folders.items():
        if folder and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"--{tracker} {folder}: is not empty, and a run stands in it once; name a new folder")


def _folders(args: argparse.Namespace) -> dict[str, Path | None]:
    return {tracker: getattr(args, tracker.replace("-", "_")) for tracker in TRACKERS}


def _extra(tracker: str) -> str:
    """The extra of the package, and the module in suite.trackers, that belong to an option."""
    return tracker.partition("-")[0]


def _track(tracker: str, folder: Path, records: Mapping[str, Record], places: Sequence[Mapping[str, Any]]) -> None:
    extra = _extra(tracker)
    try:
        with chosen_boards.writing(f"--{tracker}", folder), _all_or_nothing(folder):
            importlib.import_module(f"optathlon.suite.trackers.{extra}").write(tracked(records, places), folder)
    except ImportError as error:
        missing = error.name or extra
        raise MachineError(
            f"--{tracker}: needs {missing}, which cannot be imported: pip install 'optathlon[{extra}]'"
        ) from None
    say(f"written: {folder}, {len(places)} runs")


@contextmanager
def _all_or_nothing(folder: Path) -> Iterator[None]:
    """Removes what was written into `folder`, which is empty before, if not all of it could be.

    A part would pass for the whole, and the next try would be refused for its sake.
    """
    existed = folder.exists()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder.resolve(), ignore_errors=True)
        if existed:
            folder.resolve().mkdir(exist_ok=True)
        raise


def _places(results: Results, sweep: str | None) -> list[dict[str, Any]]:
    """Returns the place of each run in `sweep`, or in every sweep that has it; None where a value is missing."""
    frame = results.runs()
    columns = {name: frame[name].astype(object).where(frame[name].notna(), None).tolist() for name in ("run", *PLACE)}
    places = [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
    return [place for place in places if sweep is None or place["sweep"] == sweep]
