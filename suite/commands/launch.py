"""Run all that is missing of a sweep on this machine, in the background, and follow it. Ctrl-C leaves it running."""

from __future__ import annotations

import argparse

from results import Store
from slurm.local import LocalCluster
from suite import launch, progress, sweep
from suite.console import add_data, add_json, add_store, print_json, say
from suite.errors import FAILED, INTERRUPTED


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a sweep file, or the name of a built-in one")
    parser.add_argument("--detach", action="store_true", help="return at once; see `optathlon status`")
    parser.add_argument(
        "--slots", type=_positive, help="at most so many runs at once (default: one a GPU, else a core)"
    )
    parser.add_argument("--retry", action="store_true", help="try runs that failed for good again")
    parser.add_argument("--data-workers", type=not_negative, default=0, help="processes a run that load data ahead")
    add_store(parser)
    add_data(parser)
    add_json(parser)


def not_negative(text: str) -> int:
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    given = sweep.load(sweep.find(args.sweep))
    done = launch.launch(given, store, args.data, slots=args.slots, data_workers=args.data_workers, retry=args.retry)
    name = done.plan.head.name
    if not done.missing:
        say(f"{name}: nothing to do, every run has its outcome or failed; see `optathlon leaderboard {name}`")
        if done.failed:
            say(f"{done.failed} of them failed for good; `optathlon launch --retry` tries them again")
    elif done.alive:
        say(f"{name}: {done.missing} runs to do; a worker is already at work on them")
    else:
        say(f"{name}: {done.missing} runs to do; a worker has started in the background")
    code = FAILED if done.failed else 0
    if done.missing and not args.detach:
        code = _follow(store, done, name)
    if args.json:
        print_json(launch.describe(done))
    return code


def _follow(store: Store, done: launch.Launched, name: str) -> int:
    cluster = LocalCluster()
    try:
        seen = progress.follow(store, done.plan, lambda: len(launch.live_workers(store, cluster, name, done.number)))
    except KeyboardInterrupt:
        say(f"left; the runs go on. `optathlon status {name}` tells how, `optathlon cancel {name}` stops them")
        return INTERRUPTED
    for reason, runs in seen.errors:
        say(f"{len(runs)} failed: {reason} ({', '.join(runs[:3])}{', ...' if len(runs) > 3 else ''})")
    if seen.left:
        say(f"{seen.left} runs are left, and no worker is alive: `optathlon launch` goes on where they stopped")
        if done.log:
            say(f"what the worker said: {done.log}")
    return FAILED if seen.left or seen.counts["failed"] else 0
