"""The worker that a launch starts: takes free runs of a plan until none is left. Not for people."""

from __future__ import annotations

import argparse
from pathlib import Path

from optathlon.optimizers.spec import IMPLEMENTATIONS
from optathlon.results import Store
from optathlon.suite.console import add_data, add_network_options, add_store, network_options
from optathlon.suite.user_modules import look_beside


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep")
    parser.add_argument("plan", type=int)
    parser.add_argument("--stage", choices=("tune", "report", "all"), default="all")
    parser.add_argument("--slots", type=int)
    parser.add_argument("--data-workers", type=int, default=0)
    parser.add_argument("--implementation", choices=IMPLEMENTATIONS, default="auto")
    add_network_options(parser)
    parser.add_argument("--canary", action="store_true")
    parser.add_argument("--task", action="append", default=[], help="only runs of it (again: or of this; none: of all)")
    parser.add_argument("--row", action="append", default=[], help="only runs of this row of the board, as --task")
    parser.add_argument("--leave", action="store_true", help="do not stay for what runs elsewhere")
    parser.add_argument("--after", action="append", default=[], help="a job that was over before this one could start")
    parser.add_argument("--beside", type=Path, help="where modules of the sweep's own tasks and optimizers are")
    add_store(parser)
    add_data(parser)


def main(args: argparse.Namespace) -> int:
    from optathlon.slurm.slurm import SlurmCluster
    from optathlon.suite.monitoring.alive_workers import mark_followed_as_ended
    from optathlon.suite.planning.scope import Scope
    from optathlon.suite.training.place import environment
    from optathlon.suite.working.assignment import Assignment
    from optathlon.suite.working.worker import Worker

    if args.beside:
        look_beside(args.beside)
    store = Store(args.store)
    plan = store.plan(args.sweep, args.plan)
    if args.after:
        mark_followed_as_ended(store, plan, args.after, SlurmCluster())
    assignment = Assignment(
        store=store,
        plan=plan,
        data=args.data,
        stage=args.stage,
        slots=args.slots,
        data_workers=args.data_workers,
        implementation=args.implementation,
        networks=network_options(args),
        canary=args.canary,
        scope=Scope(frozenset(args.task), frozenset(args.row)),
        leave=args.leave,
    )
    if environment() is None:
        return Worker(assignment).work()
    from optathlon.suite.working import team_worker

    return team_worker.work(assignment)
