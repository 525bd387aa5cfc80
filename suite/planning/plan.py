"""Expands a sweep into its plan: every run with its role, row and column."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec

from optathlon import tasks
from optathlon.optimizers import OptimizerError, OptimizerSpec
from optathlon.optimizers.spec import TAGS
from optathlon.results.hyperparameter_text import short
from optathlon.results.plan import Column, Plan, PlanHead, PlannedRun, Row, TuningSeeds, column_label
from optathlon.results.record import Identity, flat
from optathlon.suite.errors import SweepError, UsageError, hint
from optathlon.suite.identity import Problem, Run, Setting, digest, run_id, task_of
from optathlon.suite.planning.printed_table import table
from optathlon.suite.planning.sweep import Entry, Sweep
from optathlon.tasks.data.dataset import edition
from optathlon.tasks.registry import check, declared_name

ROLES: tuple[Literal["tune"], Literal["report"]] = ("tune", "report")


def expand(sweep: Sweep, data: Path) -> Plan:
    """The plan of `sweep` with the data editions found below `data`; SweepError if an optimizer cannot run a task."""
    expansion = _Expansion(sweep)
    for task in sweep.tasks:
        problem = problem_of(task, sweep.scale, sweep.protocol_of(task), data)
        for entry in sweep.entries_on(task):
            expansion.add(task, problem, entry)
    return expansion.plan()


def problem_of(task: tasks.Task, scale: str, protocol: tasks.Protocol, data: Path) -> Problem:
    """`task` by `protocol` on the data editions found below `data`."""
    editions = {name: edition(data, name) for name in task.datasets}
    return Problem(task=task.name, version=task.version or 1, scale=scale, data=editions, protocol=protocol)


def labels_of_rows(sweep: Sweep) -> dict[str, str]:
    """Returns by row of the plan of `sweep` the label of the block that the row is of."""
    return {
        row: entry.label
        for task in sweep.tasks
        for entry in sweep.entries_on(task)
        for _, _, row in _candidates(sweep, task, entry)
    }


def _candidates(sweep: Sweep, task: tasks.Task, entry: Entry) -> Iterator[tuple[dict[str, Any], dict[str, Any], str]]:
    """Yields what `entry` tries on `task`: hyperparameters, changes of the protocol, and the row that they are in."""
    candidates = sweep.settings(entry, task)
    schedules = [flat({"schedule": schedule}) for schedule in entry.schedules]
    varying = _varying([{**candidates[0], **schedule} for schedule in schedules])
    varying = [*_varying(candidates), *varying]
    for hyperparameters, (protocol, schedule) in itertools.product(
        candidates, zip(entry.protocols(), schedules, strict=True)
    ):
        tuned = bool(sweep.seeds.tune)
        row = _tuned_name(entry) if tuned else _row_name(entry.label, hyperparameters | schedule, varying)
        yield hyperparameters, protocol, row


class _Expansion:
    def __init__(self, sweep: Sweep) -> None:
        self.sweep = sweep
        self.problems: dict[str, dict[str, Any]] = {}
        self.settings: dict[str, dict[str, Any]] = {}
        self.columns: dict[str, Column] = {}
        self.rows: dict[str, Row] = {}
        self.labels: dict[str, str] = {}
        self.runs: dict[tuple[str, str], PlannedRun] = {}

    def add(self, task: tasks.Task, problem: Problem, entry: Entry) -> None:
        """Every run of `entry` on `problem`."""
        of_problem = digest(problem)
        self.problems[of_problem] = msgspec.to_builtins(problem)
        self.columns.setdefault(of_problem, column(task, problem, of_problem, self._title(task)))
        for hyperparameters, protocol, name in _candidates(self.sweep, task, entry):
            try:
                setting = setting_of(problem, entry.spec, hyperparameters, protocol, entry.probes)
            except (tasks.TaskError, OptimizerError, UsageError) as error:
                raise SweepError(f"{entry.where}: on {task.name}: {error}") from None
            if self.sweep.seeds.tune and "validation" not in setting.protocol.get("watch", ("validation",)):
                raise SweepError(f"{entry.where}.protocol.watch: must name validation, as settings are tuned on it")
            notes = _notes(entry, entry.protocol if self.sweep.seeds.tune else protocol)
            row = self.rows.setdefault(name, Row(name=name, optimizer=entry.spec.name, notes=notes))
            if other_notes := [f"{note} on {task.name}" for note in notes if note not in row.notes]:
                self.rows[name] = msgspec.structs.replace(row, notes=[*row.notes, *other_notes])
            if (other := self.labels.setdefault(name, entry.label)) != entry.label:
                raise SweepError(f"{entry.where}: row {name!r} is also one of {other!r}; give it another label")
            self._add_runs(task, Identity(problem=of_problem, setting=digest(setting)), setting, name)

    def _title(self, task: tasks.Task) -> str:
        """What boards call `task`: a user's own by the name that it declares, if no other task goes by that."""
        title = declared_name(task.name)
        others = [other.name for other in self.sweep.tasks if other.name != task.name]
        shared = title in tasks.names() or title in map(declared_name, others)
        return task.name if shared else title

    def _add_runs(self, task: tasks.Task, identity: Identity, setting: Setting, row: str) -> None:
        self.settings[identity.setting] = msgspec.to_builtins(setting)
        for role in ROLES:
            for seed in getattr(self.sweep.seeds, role):
                run = PlannedRun(
                    id=run_id(identity, seed),
                    problem=identity.problem,
                    setting=identity.setting,
                    seed=seed,
                    role=role,
                    row=row,
                    column=task.name,
                )
                if (other := self.runs.setdefault((run.id, role), run)) is not run:
                    both = f"{other.row!r} and {row!r}"
                    raise SweepError(f"{self.sweep.file}: {both} are the same setting on {task.name}")

    def plan(self) -> Plan:
        seeds = self.sweep.seeds
        if seeds.looks and len(self.rows) < 2:
            raise SweepError(
                f"{self.sweep.file}: seeds.report: looks end when comparisons with the baseline are decided, and there "
                "is no row but the baseline; give a list of seeds"
            )
        head = PlanHead(
            name=self.sweep.name,
            scale=self.sweep.scale,
            created="",
            digest="",
            baseline=next((row for row, label in self.labels.items() if label == self.sweep.baseline), None),
            columns=list(self.columns.values()),
            rows=list(self.rows.values()),
            problems=self.problems,
            settings=self.settings,
            table=table(self.sweep, list(self.columns.values()), list(self.rows.values())),
            tuning=[TuningSeeds(report=r, tune=list(t)) for r, t in seeds.tuning().items()]
            if seeds.per_seed
            else msgspec.UNSET,
            looks=list(seeds.looks) or msgspec.UNSET,
        )
        runs = list(self.runs.values())
        content = digest({"head": head, "runs": runs})
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        return Plan(head=msgspec.structs.replace(head, digest=content, created=now), runs=runs)


def column(task: tasks.Task, problem: Problem, of_problem: str, title: str) -> Column:
    """Returns the board's column for `problem`, under `title`."""
    headline, select = task.metrics[0], problem.protocol.select
    selecting = next((m for m in task.metrics if select and m.name == select.metric), headline)
    chosen = problem.protocol.holdout != "none"
    return Column(
        name=task.name,
        label=column_label(title, problem.scale, problem.data.values()),
        problem=of_problem,
        metric=f"test/{headline.name}",
        unit=headline.unit,
        higher_is_better=headline.higher_is_better,
        selection=f"validation/{selecting.name}" if chosen else None,
        selection_higher_is_better=selecting.higher_is_better if chosen else None,
    )


def run_of(plan: Plan, planned: PlannedRun) -> Run:
    """The run that a line of `plan` stands for."""
    return Run(
        problem=msgspec.convert(plan.head.problems[planned.problem], Problem),
        setting=msgspec.convert(plan.head.settings[planned.setting], Setting),
        seed=planned.seed,
    )


def setting_of(
    problem: Problem,
    spec: OptimizerSpec,
    hyperparameters: dict[str, Any],
    protocol: Mapping[str, Any],
    probes: Sequence[str] = (),
) -> Setting:
    """`spec` with resolved `hyperparameters`, its own changes of the problem's `protocol`, and checked `probes`.

    Raises UsageError with the reason if the two cannot run together, TaskError if the protocol does not fit.
    """
    resolved = problem.protocol.override(protocol)
    check(task_of(problem.task), resolved)
    for key, value in resolved.tags.items():
        tag, _, name = key.partition(".")
        if tag not in TAGS:
            raise UsageError(f"protocol.tags: {key}: unknown tag {tag!r}{hint(tag, TAGS)}")
        if name in (*spec.hyperparameters, "lr_scale"):
            spec.resolve({**hyperparameters, key: value})
    if why := _misfit(spec, resolved, hyperparameters):
        raise UsageError(f"{spec.name} cannot run {problem.task}: {why}")
    return Setting(
        optimizer=spec.name,
        version=spec.version,
        hyperparameters=hyperparameters,
        protocol=_typed(protocol, msgspec.to_builtins(resolved)),
        probes=list(probes),
    )


def _misfit(spec: OptimizerSpec, protocol: tasks.Protocol, hyperparameters: Mapping[str, Any]) -> str | None:
    known = {*spec.hyperparameters, "lr_scale"}
    options = (*hyperparameters, *(key for key in protocol.tags if key.partition(".")[2] in known))
    tagged = [key for key in options if "." in key]
    if "closure" in spec.flags and protocol.precision == "fp16":
        return "it evaluates the loss several times a step, which fp16's loss scaling does not allow"
    if "one_group" in spec.flags and tagged:
        return f"it takes one parameter group only, but {tagged[0]} makes several"
    if "one_rate" in spec.flags and (scaled := [k for k in tagged if k.endswith(".lr_scale")]):
        return f"all its groups must have one rate, but {scaled[0]} makes several"
    if "matrices" in spec.flags:
        return "it steps two-dimensional parameters only, and networks have others: biases, gains, kernels"
    return None


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
    return " ".join([label, *(f"{k}={short(hyperparameters.get(k))}" for k in varying)])


def _tuned_name(entry: Entry) -> str:
    return f"{entry.label} (schedule tuned)" if len(entry.schedules) > 1 else entry.label


def _notes(entry: Entry, protocol: Mapping[str, Any]) -> list[str]:
    differing = ", ".join(f"{key} = {value}" for key, value in flat(protocol).items())
    notes = [f"protocol differs: {differing}"] if differing else []
    return notes if "lr" in entry.spec.hyperparameters else [*notes, "has no lr: schedule and warm-up change nothing"]
