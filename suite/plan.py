"""Expands a sweep into its plan: every run with its role, row and column."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

import tasks
from results.record import Column, Identity, Plan, PlanHead, PlannedRun, Row
from suite.errors import SweepError
from suite.run import Problem, Run, Setting, digest, run_id
from suite.sweep import Entry, Sweep
from tasks.data.dataset import edition


def expand(sweep: Sweep, data: Path) -> Plan:
    """The plan of `sweep` with the data editions found below `data`; SweepError if a task and an optimizer do not
    fit."""
    problems: dict[str, dict[str, Any]] = {}
    settings: dict[str, dict[str, Any]] = {}
    rows: dict[str, Row] = {}
    columns: list[Column] = []
    runs: dict[tuple[str, str], PlannedRun] = {}
    for task in sweep.tasks:
        problem = Problem(
            task=task.name,
            version=task.version or 1,
            scale=sweep.scale,
            data={name: edition(data, name) for name in task.datasets},
            protocol=sweep.protocol_of(task),
        )
        problems[of_problem := digest(problem)] = msgspec.to_builtins(problem)
        columns.append(column(task, problem, of_problem))
        for entry in sweep.entries:
            candidates = sweep.settings(entry, task)
            varying = _varying(candidates)
            for hyperparameters in candidates:
                setting = Setting(
                    optimizer=entry.spec.name,
                    version=entry.spec.version,
                    hyperparameters=hyperparameters,
                    protocol=_own_protocol(problem, entry, hyperparameters),
                )
                settings[of_setting := digest(setting)] = msgspec.to_builtins(setting)
                row = entry.label if sweep.seeds.tune else _row_name(entry.label, hyperparameters, varying)
                rows.setdefault(row, Row(name=row, optimizer=entry.spec.name, notes=_notes(entry)))
                for role, seeds in (("tune", sweep.seeds.tune), ("report", sweep.seeds.report)):
                    for seed in seeds:
                        name = run_id(Identity(problem=of_problem, setting=of_setting), seed)
                        planned = PlannedRun(
                            id=name,
                            problem=of_problem,
                            setting=of_setting,
                            seed=seed,
                            role=role,
                            row=row,
                            column=task.name,
                        )
                        if runs.setdefault((name, role), planned) is not planned:
                            other = runs[name, role].row
                            raise SweepError(f"{sweep.file}: {other!r} and {row!r} are the same setting on {task.name}")
    head = PlanHead(
        name=sweep.name,
        scale=sweep.scale,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        digest="",
        baseline=_baseline(sweep, rows),
        columns=columns,
        rows=list(rows.values()),
        problems=problems,
        settings=settings,
    )
    ordered = list(runs.values())
    content = digest({"head": msgspec.structs.replace(head, created=""), "runs": ordered})
    return Plan(head=msgspec.structs.replace(head, digest=content), runs=ordered)


def column(task: tasks.Task, problem: Problem, of_problem: str) -> Column:
    """The board's column for `problem`: its label names scale and editions wherever they are not the paper's own."""
    headline, select = task.metrics[0], problem.protocol.select
    selecting = next((m for m in task.metrics if select and m.name == select.metric), headline)
    chosen = problem.protocol.holdout != "none"
    marks = [] if problem.scale == "paper" else [problem.scale]
    marks += [e for e in problem.data.values() if e != "official"]
    return Column(
        name=task.name,
        label=f"{task.name} [{', '.join(marks)}]" if marks else task.name,
        problem=of_problem,
        metric=f"test/{headline.name}",
        unit=headline.unit,
        higher_is_better=headline.higher_is_better,
        selection=f"validation/{selecting.name}" if chosen else None,
        selection_higher_is_better=selecting.higher_is_better if chosen else None,
    )


def runs_of(plan: Plan, planned: PlannedRun) -> Run:
    """The run that a line of `plan` stands for."""
    return Run(
        problem=msgspec.convert(plan.head.problems[planned.problem], Problem),
        setting=msgspec.convert(plan.head.settings[planned.setting], Setting),
        seed=planned.seed,
    )


def _own_protocol(problem: Problem, entry: Entry, hyperparameters: Mapping[str, Any]) -> dict[str, Any]:
    """What `entry` changes in the problem's protocol, as resolved; SweepError if the pair cannot run."""
    try:
        protocol = problem.protocol.override(entry.protocol)
    except tasks.TaskError as error:
        raise SweepError(f"{entry.where}: on {problem.task}: {error}") from None
    flags, tagged = entry.spec.flags, [k for k in (*hyperparameters, *protocol.tags) if "." in k]
    why = None
    if "closure" in flags and protocol.precision == "fp16":
        why = "it evaluates the loss several times a step, which fp16's loss scaling does not allow"
    elif "one_group" in flags and tagged:
        why = f"it takes one parameter group only, but {tagged[0]} makes several"
    elif "one_rate" in flags and (scaled := [k for k in tagged if k.endswith(".lr_scale")]):
        why = f"all its groups must have one rate, but {scaled[0]} makes several"
    if why:
        raise SweepError(f"{entry.where}: {entry.label} cannot run {problem.task}: {why}")
    return _typed(entry.protocol, msgspec.to_builtins(protocol))


def _typed(changes: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of `changes` with the values they resolved to, so that 1 and 1.0 are one setting."""
    return {
        key: _typed(value, resolved[key])
        if isinstance(value, Mapping) and isinstance(resolved[key], Mapping)
        else resolved[key]
        for key, value in changes.items()
    }


def _varying(candidates: list[dict[str, Any]]) -> list[str]:
    keys = dict.fromkeys(key for setting in candidates for key in setting)
    return [k for k in keys if any(s.get(k) != candidates[0].get(k) for s in candidates)]


def _row_name(label: str, hyperparameters: Mapping[str, Any], varying: Iterable[str]) -> str:
    return " ".join([label, *(f"{k}={_short(hyperparameters.get(k))}" for k in varying)])


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _notes(entry: Entry) -> list[str]:
    return [f"protocol differs: {key} = {value}" for key, value in entry.protocol.items()]


def _baseline(sweep: Sweep, rows: Mapping[str, Row]) -> str | None:
    return next((name for name in rows if name == sweep.baseline or name.startswith(f"{sweep.baseline} ")), None)
