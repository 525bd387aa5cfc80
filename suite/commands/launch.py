"""Run all that is missing of a sweep: on this machine, in the background, followed until it is done (Ctrl-C leaves it
running), or on a Slurm cluster, submitted and left alone."""

from __future__ import annotations

import argparse
from typing import Any

from optathlon.results import Store
from optathlon.slurm import unasked
from optathlon.suite.console import (
    add_data,
    add_implementation,
    add_json,
    add_network_options,
    add_store,
    network_options,
    print_json,
    say,
)
from optathlon.suite.errors import FAILED, INTERRUPTED
from optathlon.suite.launching import launch
from optathlon.suite.launching.slurm_orders import Order
from optathlon.suite.monitoring import alive_workers, progress
from optathlon.suite.planning import sweep_reader
from optathlon.suite.working import references
from optathlon.tasks import SCALES


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a sweep file, or the name of a built-in one")
    parser.add_argument("--on", choices=("local", "slurm"), help="where (default: what the sweep's [cluster] says)")
    add_scale(parser)
    parser.add_argument(
        "--cluster", action="append", default=[], metavar="KEY=VALUE", help="a [cluster] setting, partition=gpu; again"
    )
    parser.add_argument("--dry-run", action="store_true", help="print what would be submitted, and do nothing")
    parser.add_argument("--detach", action="store_true", help="return at once; see `optathlon status`")
    parser.add_argument("--slots", type=positive, help="at most so many runs at once (default: one a GPU, else a core)")
    parser.add_argument("--retry", action="store_true", help="try runs that failed for good again")
    parser.add_argument(
        "--canary", action="store_true", help="first one run per task and optimizer, the rest once it has got on"
    )
    parser.add_argument("--budget", type=hours, help="refuse if the sweep takes more hours of one slot than these")
    parser.add_argument("--data-workers", type=not_negative, default=0, help="processes a run that load data ahead")
    add_implementation(parser)
    add_network_options(parser)
    add_store(parser)
    add_data(parser)
    add_json(parser)


def add_scale(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scale", choices=SCALES, help="instead of the file's; it is a sweep of its own, SWEEP-smoke in the store"
    )


def not_negative(text: str) -> int:
    if (number := int(text)) < 0:
        raise argparse.ArgumentTypeError("must not be negative")
    return number


def hours(text: str) -> float:
    if not 0 < (number := float(text)) < 1e9:
        raise argparse.ArgumentTypeError("must be a number above 0")
    return number


def positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    wishes = launch.Wishes(
        data=args.data,
        on=args.on,
        cluster=args.cluster,
        slots=args.slots,
        data_workers=args.data_workers,
        implementation=args.implementation,
        networks=network_options(args),
        retry=args.retry,
        canary=args.canary,
        budget=args.budget,
    )
    begun = launch.Launch(sweep_reader.load(sweep_reader.find(args.sweep), args.scale), store, wishes)
    if args.dry_run:
        return _show(begun, args.json)
    done = begun.carry_out()
    name = done.plan.head.name
    for line in _outcome_lines(done):
        say(f"{name}: {line}")
    if not done.missing:
        references.ensure_of_plan(store, done.plan, args.data, say)
    code = FAILED if done.failed else 0
    if done.missing and done.settings.kind == "local" and not args.detach:
        code = follow(store, done, name)
    if args.json:
        print_json(launch.describe(done))
    return code


def _show(begun: launch.Launch, as_json: bool) -> int:
    """Prints what a launch would do."""
    name, missing = begun.plan.head.name, begun.missing
    scripts = begun.scripts() if missing and begun.settings.kind == "slurm" else []
    if begun.unasked:
        most = f"the default MaxArraySize of {unasked.DEFAULTS.max_array_size}"
        say(f"{name}: no Slurm answers here ({begun.unasked}): nothing was asked; arrays are cut at {most}")
    if as_json:
        arrays = [_array(order, script) for order, script in scripts]
        print_json({"sweep": name, "cluster": begun.settings.kind, "missing": missing, "arrays": arrays})
        return 0
    for order, script in scripts:
        of_rows = f"; rows: {', '.join(sorted(order.scope.rows))}" if order.scope.rows else ""
        of_tasks = ", ".join(sorted(order.scope.tasks))
        print(f"# stage {order.stage}, at most {order.copies} workers, for: {of_tasks}{of_rows}\n{script}")
    where = f"{len(scripts)} arrays would be submitted" if begun.settings.kind == "slurm" else "one worker would start"
    say(f"{name}: {missing} runs to do; {where if missing else 'nothing would be done'}")
    return 0


def _array(order: Order, script: str) -> dict[str, Any]:
    """Returns an array of workers as --json prints it; no rows: of all."""
    scope = {"tasks": sorted(order.scope.tasks), "rows": sorted(order.scope.rows)}
    return {"stage": order.stage, "workers": order.copies, **scope, "script": script}


def _outcome_lines(done: launch.Launched) -> list[str]:
    """Says what a launch did, and what to do next."""
    name = done.plan.head.name
    if not done.missing:
        lines = [f"nothing to do, every run has its outcome or failed; see `optathlon leaderboard {name}`"]
        if done.failed:
            lines.append(f"{done.failed} of them failed for good; `optathlon launch --retry` tries them again")
        return lines
    lines = [f"{done.missing} runs to do"]
    if done.submitting:
        lines[0] += "; another launch is submitting workers at this moment, and this one leaves it to it"
    elif done.orders:
        copies = sum(order.copies for order in done.orders)
        lines[0] += f"; {copies} workers are submitted, {len(done.alive)} were there before"
    elif done.started:
        lines[0] += "; a worker has started in the background"
    else:
        lines[0] += f"; their workers are there already ({len(done.alive)})"
    if done.settings.kind == "slurm":
        lines.append(f"goes on by itself; `optathlon status {name}` tells how, `optathlon cancel {name}` stops it")
    return lines


def follow(store: Store, done: launch.Launched, name: str) -> int:
    """Tells how the runs get on until no worker is left; returns the exit code."""
    try:
        overview = progress.follow(store, done.plan, lambda: len(alive_workers.look(store, name, done.number).names))
    except KeyboardInterrupt:
        say(f"left; the runs go on. `optathlon status {name}` tells how, `optathlon cancel {name}` stops them")
        return INTERRUPTED
    for trouble in progress.troubles(overview):
        say(trouble)
    if overview.left:
        say(f"{overview.left} runs are left, and no worker is alive: `optathlon launch` goes on where they stopped")
        if done.log:
            say(f"what the worker said: {done.log}")
    return FAILED if overview.left or overview.counts["failed"] else 0
