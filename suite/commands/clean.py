"""Drop checkpoints and logs of finished runs, and what the jobs of sweeps with nothing left to do wrote; records, plans
and everything else stay."""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from optathlon.results import Store, StoreError
from optathlon.results.plan import Plan
from optathlon.suite.console import add_json, add_store, print_json, say
from optathlon.suite.monitoring import alive_workers, find_run, status


def configure(parser: argparse.ArgumentParser) -> None:
    add_store(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    freed = store.clean()
    for folder in _finished_job_folders(store):
        freed += sum(path.lstat().st_size for path in folder.rglob("*"))
        shutil.rmtree(folder)
    say(f"freed {freed / 1e6:.1f} MB in {args.store}")
    if args.json:
        print_json({"freed_bytes": freed})
    return 0


def _finished_job_folders(store: Store) -> Iterator[Path]:
    """Yields this user's job folders of the sweeps that have all their outcomes and no job that can be alive."""
    for name in store.plan_names():
        try:
            plans = [store.plan(name, number) for number in store.plan_numbers(name)]
        except StoreError:  # `status` says what is wrong with it
            continue
        alive = alive_workers.look(store, name)
        if not (alive.names or alive.unknown or any(_is_open(store, plan) for plan in plans)):
            yield from (f for f in find_run.job_folders(store, name) if f.stat().st_uid == os.getuid())


def _is_open(store: Store, plan: Plan) -> bool:
    seen = status.overview(store, plan)
    return bool(seen.left or seen.counts["failed"])
