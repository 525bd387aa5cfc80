"""Tries the claimed best of each task again, beside its runner-up: launches runs with fresh seeds, which are drawn from
a hash of the plan, and tells what is left of the lead."""

from __future__ import annotations

import argparse

import msgspec

from optathlon.results import Store, load_results
from optathlon.results.analysis.skeptic import Claim, Retried, challenge, claims, fresh_seeds, retried
from optathlon.results.plan import Plan
from optathlon.suite.commands.launch import add_scale, follow, positive
from optathlon.suite.console import add_data, add_json, add_store, print_json, say, show, table
from optathlon.suite.errors import FAILED, INTERRUPTED, OK, UsageError, hint
from optathlon.suite.identity import digest, run_id
from optathlon.suite.launching import launch
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.sweep import Sweep


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", help="a launched sweep: its file, or the name of a built-in one")
    parser.add_argument("--task", action="append", metavar="TASK", help="only the claim of this task; again for more")
    parser.add_argument("--seeds", type=positive, help="fresh seeds a row (default: as many as the claim stands on)")
    parser.add_argument("--dry-run", action="store_true", help="print what would be run, and do nothing")
    parser.add_argument("--on", choices=("local", "slurm"), help="where (default: what the sweep's [cluster] says)")
    add_scale(parser)
    parser.add_argument("--slots", type=positive, help="at most so many runs at once (default: one a GPU, else a core)")
    parser.add_argument("--detach", action="store_true", help="launch, and return at once; the same command reports")
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    store = Store(args.store)
    sweep = sweep_reader.load(sweep_reader.find(args.sweep), args.scale)
    plan = store.plan(sweep.name)
    claimed, left_out = _claims(store, plan, args.task)
    for task, why in left_out.items():
        say(f"{sweep.name}: {task}: no claim to try again: {why}")
    if not claimed:
        raise UsageError(f"{sweep.name}: no task has a claim to try again; `optathlon leaderboard` shows what there is")
    seeds = fresh_seeds(plan, args.seeds or max(claim.seeds for claim in claimed))
    again = challenge(plan, claimed, seeds, run_id, digest)
    if args.dry_run:
        return _show(again, claimed, seeds, args.json)
    if code := _carry_out(store, sweep, again, args):
        return code
    judged = retried(claimed, load_results(store, again).board)
    if args.json:
        print_json({"sweep": again.head.name, "seeds": seeds, "claims": [_document(one) for one in judged]})
    else:
        show(_text(again.head.name, judged))
    return OK if all(one.verdict not in ("not done", "diverged") for one in judged) else FAILED


def _claims(store: Store, plan: Plan, tasks: list[str] | None) -> tuple[list[Claim], dict[str, str]]:
    known = [column.name for column in plan.head.columns]
    for task in tasks or ():
        if task not in known:
            raise UsageError(f"--task: {task!r} is no task of {plan.head.name}{hint(task, known)}")
    return claims(load_results(store, plan).board, tasks)


def _carry_out(store: Store, sweep: Sweep, again: Plan, args: argparse.Namespace) -> int:
    """Launches what is missing of the plan `again`; returns 0 once there is something to report."""
    names = {again.head.problems[column.problem]["task"] for column in again.head.columns}
    sweep = msgspec.structs.replace(sweep, tasks=[task for task in sweep.tasks if task.name in names])
    wishes = launch.Wishes(data=args.data, on=args.on, slots=args.slots)
    done = launch.Launch(sweep, store, wishes, again).carry_out()
    name = again.head.name
    if not done.missing:
        return OK
    say(f"{name}: {done.missing} runs to do")
    if done.settings.kind == "slurm" or args.detach:
        say(f"{name}: goes on by itself; the same command reports once it is done")
        return OK
    return INTERRUPTED if follow(store, done, name) == INTERRUPTED else OK


def _show(again: Plan, claimed: list[Claim], seeds: list[int], as_json: bool) -> int:
    """Prints what would be run."""
    if as_json:
        runs = [msgspec.to_builtins(run) for run in again.runs]
        print_json({"sweep": again.head.name, "seeds": seeds, "runs": runs})
        return OK
    rows = [
        (claim.column.label, claim.best, claim.second, f"{claim.lead:.{claim.column.digits}f}") for claim in claimed
    ]
    show(table(rows, ("task", "claimed best", "runner-up", "lead")))
    show(f"seeds, from the hash of the plan: {', '.join(map(str, seeds))}")
    say(f"{again.head.name}: {len(again.runs)} runs would be done")
    return OK


def _document(one: Retried) -> dict:
    return {**msgspec.to_builtins(one), "share_left": one.share_left}


def _text(name: str, judged: list[Retried]) -> str:
    head = ("task", "claimed best", "runner-up", "lead", "expected", "fresh lead", "95 % interval", "left", "verdict")
    return "\n".join(
        [
            f"{name}: what is left of each lead on fresh seeds that nobody chose by; better is positive",
            "",
            table([_row(one) for one in judged], head),
            "",
            "expected: the lead of the shrunken means, without the luck of having been picked for it; - of fewer than "
            "four rows",
        ]
    )


def _row(retried_claim: Retried) -> tuple[str, ...]:
    claim, digits = retried_claim.claim, retried_claim.claim.column.digits
    interval = "-"
    if retried_claim.interval and retried_claim.interval.low is not None and retried_claim.interval.high is not None:
        interval = f"{retried_claim.interval.low:+.{digits}f} to {retried_claim.interval.high:+.{digits}f}"
    return (
        claim.column.label,
        claim.best,
        claim.second,
        f"{claim.lead:+.{digits}f}",
        "-" if claim.expected is None else f"{claim.expected:+.{digits}f}",
        "-" if retried_claim.lead is None else f"{retried_claim.lead:+.{digits}f}",
        interval,
        "-" if retried_claim.share_left is None else f"{retried_claim.share_left:.0%}",
        retried_claim.verdict,
    )
