"""The command that makes a recorded run anew, or why there is none."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec

from optathlon import optimizers, tasks
from optathlon.results.record import Record, flat
from optathlon.suite import user_sources
from optathlon.suite.commands.shared.described_run import Words, described_run
from optathlon.suite.errors import UsageError
from optathlon.suite.identity import optimizer_of, task_of


def command(record: Record) -> str:
    """Returns the command that makes the run of `record` anew, proven by its id; UsageError says why there is none."""
    try:
        words = _words(record)
        run = described_run(words, record.problem["data"])
    except (tasks.TaskError, optimizers.OptimizerError) as error:
        raise UsageError(str(error)) from error
    if run.id != record.id:
        raise UsageError(
            f"the same words are another run now, {run.id}: {_difference(record, run.problem, run.setting)}"
        )
    if changed := user_sources.changed(run, record.provenance.get("sources")):
        raise UsageError(f"{', '.join(changed)}: not as when the run was made")
    probes = [word for name in words.probes for word in ("--probe", name)]
    where = ["--scale", words.scale, "--seed", str(words.seed)]
    return shlex.join(["optathlon", "run", words.task, words.optimizer, *words.values, *where, *probes])


def _words(record: Record) -> Words:
    problem, setting = record.problem, record.setting
    task, spec = task_of(problem["task"]), optimizer_of(setting["optimizer"])
    for kind, name, version_now, version_then in (
        ("task", task.name, task.version, problem["version"]),
        ("optimizer", spec.name, spec.version, setting["version"]),
    ):
        if version_now != version_then:
            raise UsageError(
                f"{kind} {name} is version {version_now} here, and was {version_then} when the run was made"
            )
    own_protocol = flat(setting.get("protocol", {}))
    if own_protocol != flat(spec.protocol):
        changes = ", ".join(f"protocol.{key} = {value}" for key, value in own_protocol.items())
        raise UsageError(
            "a sweep alone can give an optimizer a protocol of its own; in its block stands "
            f"{changes or 'no change of the protocol'}"
        )
    default = msgspec.json.decode(msgspec.json.encode(task.protocol(problem["scale"])))
    values = {**setting["hyperparameters"], **_changes(default, problem["protocol"], "protocol")}
    return Words(
        task=problem["task"],
        optimizer=setting["optimizer"],
        values=[f"{key}={json.dumps(v, separators=(',', ':'))}" for key, v in values.items() if v is not None],
        scale=problem["scale"],
        seed=record.seed,
        probes=setting.get("probes", []),
    )


def _changes(default: Mapping[str, Any], used: Mapping[str, Any], where: str) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    for key, value in used.items():
        place = f"{where}.{key}"
        if value == default.get(key):
            continue
        if not isinstance(value, Mapping):
            changes[place] = value
        elif isinstance(default.get(key), Mapping) and key != "schedule":
            changes |= _changes(default[key], value, place)
        else:
            changes |= flat(value, f"{place}.")
    return changes


def _difference(record: Record, problem: Any, setting: Any) -> str:
    """Says in which keys the record and what the same words come to now differ."""
    then = flat({"problem": record.problem, "setting": record.setting})
    now = flat({"problem": msgspec.to_builtins(problem), "setting": msgspec.to_builtins(setting)})
    missing = object()
    keys = [key for key in {**then, **now} if then.get(key, missing) != now.get(key, missing)]
    said = [f"{key} was {then.get(key, 'not there')}, is {now.get(key, 'not there')}" for key in keys[:3]]
    return "; ".join(said) + ("; ..." if len(keys) > 3 else "") or "its record was changed by hand"
