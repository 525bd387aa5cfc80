"""Show one task, optimizer, sweep, data set or run (by at least four digits of its id)."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

import msgspec

from optathlon import optimizers, tasks
from optathlon.optimizers.decay import formula, readings
from optathlon.results import Store, StoreError
from optathlon.results.record import Record
from optathlon.suite.commands.shared import printed_description, recreation
from optathlon.suite.console import add_data, add_json, add_store, print_json, say, show
from optathlon.suite.errors import SweepError, UsageError
from optathlon.suite.identity import optimizer_of, task_of
from optathlon.suite.planning import sweep_reader
from optathlon.suite.user_modules import look_beside
from optathlon.tasks.data.dataset import edition
from optathlon.tasks.errors import did_you_mean


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name")
    parser.add_argument("--scale", choices=tasks.SCALES, help="of a task: only the protocol at this scale")
    add_store(parser)
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    look_beside(Path.cwd())
    for kind, look in (
        ("task", _task),
        ("optimizer", _optimizer),
        ("dataset", _dataset),
        ("sweep", _sweep),
        ("run", _run),
    ):
        if (description := look(args)) is not None:
            if args.json:
                print_json({"kind": kind, **description})
            else:
                show(description["toml"] if kind == "sweep" else printed_description.text(description))
            return 0
    known = [*tasks.names(), *optimizers.names(), *tasks.dataset_paths(), *sweep_reader.built_in()]
    raise UsageError(f"nothing is called {args.name!r}{did_you_mean(args.name, known)}")


def _task(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.name not in tasks.names() and ":" not in args.name:
        return None
    try:
        task = task_of(args.name)
    except tasks.TaskError:
        return None
    description = msgspec.to_builtins(task)
    if args.scale:
        description["protocols"] = {args.scale: msgspec.to_builtins(task.protocol(args.scale))}
    return description


def _optimizer(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.name not in optimizers.names() and ":" not in args.name:
        return None
    spec = optimizer_of(args.name)
    description = msgspec.to_builtins(spec)
    description["hyperparameters"] = {
        name: h.default if not h.required else "required" for name, h in spec.hyperparameters.items()
    }
    if words := formula(spec.name):
        description["what a weight decay of 1e-4 means"] = _decay(spec, words)
    return description


def _decay(spec: optimizers.OptimizerSpec, words: str) -> dict[str, Any]:
    """Describes both readings of a paper's 1e-4 at the defaults, or at the grid's middle where the rate has none."""
    required = any(h.required for h in spec.hyperparameters.values())
    middle = sorted(optimizers.default_grid(spec.name).settings(spec), key=lambda s: s["lr"]) if required else []
    resolved = middle[len(middle) // 2] if middle else spec.resolve({})
    options = {key: resolved[key] for key in ("lr", "momentum", "wd_ratio") if key in resolved}
    where = "the middle rate of its default grid" if middle else "its defaults"
    return {"shrink a step": words, f"at {where}": options, **readings(spec.name, 1e-4, resolved)}


def _dataset(args: argparse.Namespace) -> dict[str, Any] | None:
    if args.name not in tasks.dataset_paths():
        return None
    from optathlon.tasks.data.dataset import manifest

    dataset, prepared = tasks.dataset(args.name), manifest(args.data, args.name)
    about = {key: getattr(dataset, key) for key in ("name", "title", "licence", "homepage", "get")}
    return {**about, "here": msgspec.to_builtins(prepared) if prepared else "nothing prepared"}


def _sweep(args: argparse.Namespace) -> dict[str, Any] | None:
    try:
        path = sweep_reader.find(args.name)
    except SweepError:
        if args.name.endswith(".toml"):
            raise
        return _launched(args)
    return {"name": sweep_reader.load(path).name, "file": str(path), "toml": path.read_text(encoding="utf-8-sig")}


def _launched(args: argparse.Namespace) -> dict[str, Any] | None:
    """Describes a sweep by its name in the store, as it was launched last; None for what may still be a run."""
    store = Store(args.store)
    if args.name not in store.plan_names():
        return None
    number = store.plan_numbers(args.name)[-1]
    _, toml = store.plan_file(args.name, number)
    try:
        return {"name": args.name, "plan": number, "toml": toml.decode("utf-8-sig")}
    except UnicodeDecodeError as error:
        place = store.sweep_folder(args.name) / f"plan-{number:04d}"
        raise StoreError(f"{place}.toml: damaged ({error}); the plan itself stands in {place.name}.jsonl") from None


def _run(args: argparse.Namespace) -> dict[str, Any] | None:
    if not re.fullmatch(r"[0-9a-f]{4,16}", args.name):
        return None
    store = Store(args.store)
    matches = sorted(i for i in store.finished() if i.startswith(args.name))
    if len(matches) > 1:
        raise UsageError(f"{args.name!r} begins {len(matches)} run ids: {', '.join(matches[:5])}, ...")
    record = store.record(matches[0]) if matches else None
    if record is None:
        return None
    description = msgspec.to_builtins(record)
    try:
        description["recreate"] = recreation.command(record)
        description |= _other_data(record, args.data)
    except UsageError as error:
        kept = f"; its source is kept: `optathlon reproduce {record.id}`" if record.provenance.get("sources") else ""
        if args.json:
            description["not_recreated"] = f"{error}{kept}"
        say(f"no command recreates it here: {error}{kept}")
    return description


def _other_data(record: Record, data: Path) -> dict[str, Any]:
    """Returns the data editions that the run was made on and that are not the ones below `data`."""
    needed = {name: then for name, then in record.problem["data"].items() if edition(data, name) != then}
    return {"needs_data": needed} if needed else {}
