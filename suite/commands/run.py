"""Train one task with one optimizer, here and now: optathlon run ptb-awd-lstm adamw lr=2e-3 protocol.length=2
--scale smoke."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Any

import msgspec

import tasks
from results import Store, this_process
from results.record import Record
from suite.commands.launch import not_negative
from suite.console import add_data, add_json, add_store, print_json, say, table
from suite.errors import FAILED, PREEMPTED, MachineError, UsageError
from suite.plan import problem_of, setting_of
from suite.run import Run, optimizer_of, task_of
from suite.sweep import look_beside
from tasks.data.dataset import require


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task")
    parser.add_argument("optimizer")
    parser.add_argument(
        "values", nargs="*", metavar="KEY=VALUE", help="hyperparameters (lr=1e-3, gain.projection=off) and protocol.*"
    )
    parser.add_argument("--scale", choices=tasks.SCALES, default="paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--data-workers", type=not_negative, default=0, help="processes that load data ahead")
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    look_beside(Path.cwd())
    run, store = _run(args), Store(args.store)
    for name in run.problem.data:
        require(tasks.dataset(name), args.data)
    if (record := store.record(run.id)) is None:
        say(f"{run.label}: run {run.id} in {args.store}")
        if code := _train(args, run, store):
            return code
        record = store.record(run.id)
        assert record is not None
    else:
        say(f"{run.label}: run {run.id} was done before")
    if args.json:
        print_json({"record": msgspec.to_builtins(record)})
    else:
        print(_text(record))
    return 0


def _run(args: argparse.Namespace) -> Run:
    task, spec = task_of(args.task), optimizer_of(args.optimizer)
    values, changes = {}, {}
    for word in args.values:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r}: must be KEY=VALUE, lr=1e-3")
        if key.startswith("protocol."):
            _nest(changes, key.split(".")[1:], _value(text))
        else:
            values[key] = _value(text)
    if args.seed < 0:
        raise UsageError(f"--seed {args.seed}: must not be negative")
    problem = problem_of(task, args.scale, task.protocol(args.scale).override(changes), args.data)
    setting = setting_of(problem, spec, spec.resolve(values), spec.protocol)
    return Run(problem=problem, setting=setting, seed=args.seed)


def _value(text: str) -> Any:
    """`text` as TOML reads it; what is no TOML value is text."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _nest(table: dict[str, Any], keys: list[str], value: Any) -> None:
    for key in keys[:-1]:
        table = table.setdefault(key, {})
        if not isinstance(table, dict):
            raise UsageError(f"protocol.{'.'.join(keys)}: {key} is given twice")
    table[keys[-1]] = value


def _train(args: argparse.Namespace, run: Run, store: Store) -> int:
    import torch

    from suite.execute import execute, exit_code, stop_flag
    from suite.worker import threads

    if args.device == "cuda" and not torch.cuda.is_available():
        raise MachineError("--device cuda: torch sees no GPU on this machine; see `optathlon doctor`")
    device = torch.device("cuda" if args.device != "cpu" and torch.cuda.is_available() else "cpu")
    torch.set_num_threads(threads())
    attempt = store.claim(run.id, this_process())
    if attempt is None:
        state = store.states([run.id])[run.id]
        if state.kind == "failed":
            raise MachineError(
                f"run {run.id} failed three times without getting on ({state.reason}); "
                f"`optathlon forget {run.id}` starts anew"
            )
        raise MachineError(f"run {run.id} is {state.kind} elsewhere; wait for it, see {store.work(run.id)}")
    with stop_flag() as flag:
        ended = execute(
            store,
            run,
            attempt,
            args.data,
            stop=flag,
            device=device,
            data_workers=args.data_workers,
            tell=say,
            watch=Progress(run),
        )
    if ended.kind == "failed":
        say(
            ended.trace.rstrip()
            if args.debug
            else f"failed: {ended.reason} (traceback: {store.work(run.id)}, or --debug)"
        )
        return FAILED
    if exit_code(ended) == PREEMPTED:
        say("stopped; the same command goes on from here")
    return exit_code(ended)


class Progress:
    """Tells how a run gets on: one line on a terminal, one log line per half minute elsewhere."""

    def __init__(self, run: Run) -> None:
        from suite.progress import Teller

        self.run, self.length, self.teller = run, run.protocol.length, Teller()

    def __call__(self, event: dict[str, Any]) -> None:
        if "resumed" in event:
            say(f"goes on at update {event['resumed']}")
        elif "time" in event:
            part = event["time"] / self.length
            left = event["seconds"] * (1 - part) / part if part else 0.0
            self.teller.tell(f"{self.run.label}: {part:.0%}, update {event['update']}", left, last=part >= 1)


def _text(record: Record) -> str:
    rows = [(s.name, "diverged" if s.value is None else f"{s.value:.4g}", s.unit) for s in record.scores]
    text = table(rows, ("metric", "value", "unit"))
    return f"diverged at update {record.diverged_at}\n{text}" if record.status == "diverged" else text
