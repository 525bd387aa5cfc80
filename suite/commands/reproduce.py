"""Run a recorded run again, into a fresh folder and with the kept source of its task and optimizer, and compare what
comes out, digest by digest."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from optathlon import tasks
from optathlon.results import Store
from optathlon.results.record import Record, flat
from optathlon.results.store.merge import differences
from optathlon.suite import user_sources
from optathlon.suite.commands import run as run_command
from optathlon.suite.console import add_data, add_json, add_store, print_json, say, show, table
from optathlon.suite.errors import FAILED, OK, MachineError, UsageError
from optathlon.suite.identity import Problem, Run, Setting, digest, task_of
from optathlon.suite.monitoring import find_run
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.refusal import refusal


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run", help="four or more digits of its id, or its label task/row/s0")
    parser.add_argument(
        "--output", type=Path, metavar="FOLDER",
        help="a store of its own, which must not hold the run yet (default: ./reproduced-RUN)",
    )  # fmt: skip
    run_command.add_execution(parser)
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    recorded = _record(Store(args.store), args.run)
    fresh = Store(args.output or Path(f"reproduced-{recorded.id}"))
    if fresh.record(recorded.id):
        raise UsageError(f"--output {fresh.root}: holds run {recorded.id} already; give a fresh folder")
    run = _same_run(args, recorded, fresh)
    run_command.check_processes(args, run, None)
    if why := refusal(run, args.data, args.processes):
        raise MachineError(f"run {run.id} cannot be reproduced here: {why.partition('; ')[0]}")
    tasks.require(task_of(run.problem.task), run.protocol, args.data)
    say(f"{run.label}: run {run.id} again, in {fresh.root}")
    if code := run_command.train(args, run, fresh, None):
        return code
    again = _record(fresh, run.id)
    comparison = compared(recorded, again)
    if args.json:
        print_json({"run": run.id, "store": str(fresh.root), **comparison})
    else:
        show(_text(comparison))
    return OK if comparison["same"] else FAILED


def _record(store: Store, words: str) -> Record:
    run_id = find_run.run(store, words)
    if (record := store.record(run_id)) is None:
        raise UsageError(f"run {run_id}: has no outcome in {store.root} to compare with; `optathlon logs {run_id}`")
    return record


def _same_run(args: argparse.Namespace, recorded: Record, fresh: Store) -> Run:
    """Returns the run of `recorded`. Its modules are imported from the kept sources, else from this folder."""
    folder = fresh.root / "modules"
    user_sources.restore(Store(args.store), recorded.provenance.get("sources"), folder)
    for place in (folder, Path.cwd()):
        look_beside(place)
    try:
        problem, setting = msgspec.convert(recorded.problem, Problem), msgspec.convert(recorded.setting, Setting)
    except msgspec.ValidationError as error:
        raise MachineError(f"run {recorded.id} is not one that this version of Optathlon knows: {error}") from None
    run = Run(problem=problem, setting=setting, seed=recorded.seed)
    if run.id != recorded.id:
        raise MachineError(f"run {recorded.id}: its record says it is run {run.id}; it was changed by hand")
    return run


def compared(recorded: Record, again: Record) -> dict[str, Any]:
    """Compares two records of one run in all but their provenance, with the digests of both."""
    fields = differences(recorded, again)
    pairs = {name: (_outcome(recorded)[name], _outcome(again)[name]) for name in ("record", "scores")}
    return {
        "same": not fields,
        "fields": fields,
        "digests": {name: {"recorded": digest(a), "here": digest(b)} for name, (a, b) in pairs.items()},
        "scores": {name: list(both) for name, both in _scores(recorded, again).items()},
        "surroundings": {name: list(both) for name, both in _surroundings(recorded, again).items()},
    }


def _outcome(record: Record) -> dict[str, Any]:
    """Returns what digests are taken of: all that is a function of problem, setting and seed, and its scores alone."""
    whole = msgspec.to_builtins(record)
    return {
        "record": {name: value for name, value in whole.items() if name not in ("provenance", "schema")},
        "scores": whole["scores"],
    }


def _scores(recorded: Record, again: Record) -> dict[str, tuple[float | None, float | None]]:
    both = [{score.name: score.value for score in record.scores} for record in (recorded, again)]
    return {name: (both[0].get(name), both[1].get(name)) for name in dict.fromkeys([*both[0], *both[1]])}


_MATTERS = (
    "code.tree", "machine.cpu", "machine.device", "machine.threads", "machine.processes", "versions.python",
    "versions.torch", "versions.cuda", "implementation.ran", "networks.compile", "networks.memory_format",
)  # fmt: skip
"""The keys of a provenance that bits may depend on."""


def _surroundings(recorded: Record, again: Record) -> dict[str, tuple[Any, Any]]:
    """Returns the keys of `_MATTERS` that differ, with both values."""
    then, now = flat(recorded.provenance), flat(again.provenance)
    keys = [key for key in {**then, **now} if key.startswith(_MATTERS)]
    return {key: (then.get(key), now.get(key)) for key in keys if then.get(key) != now.get(key)}


def _text(comparison: dict[str, Any]) -> str:
    rows = [
        (f"{name} (SHA-256)", each["recorded"][:16], each["here"][:16]) for name, each in comparison["digests"].items()
    ]
    rows += [(name, _value(then), _value(now)) for name, (then, now) in comparison["scores"].items()]
    rows += [(name, str(then), str(now)) for name, (then, now) in comparison["surroundings"].items()]
    verdict = "reproduced: the same to the last bit"
    if not comparison["same"]:
        alike = "" if "scores" in comparison["fields"] else ", but not its scores"
        verdict = f"not the same: {', '.join(comparison['fields'])} differ{alike}"
        verdict += "; what is not as it was stands above" if comparison["surroundings"] else ""
    return f"{table(rows, ('', 'recorded', 'here'))}\n\n{verdict}"


def _value(value: float | None) -> str:
    return "diverged" if value is None else f"{value:.17g}"
