"""Records and plans for tests, as small as they can be and still true to their kind."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from optathlon.results.plan import Column, Plan, PlanHead, PlannedRun, Row, Table, TuningSeeds
from optathlon.results.record import Curve, Identity, Record, Score

DIVERGED = "diverged"
ACCURACY, LOSS = "test/accuracy", "test/loss"


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def problem(task: str = "mnist", scale: str = "smoke", edition: str = "official") -> dict[str, Any]:
    return {"task": task, "version": 1, "scale": scale, "data": {"mnist": edition}, "protocol": {"length": 2}}


def setting(optimizer: str = "sgd", **hyperparameters: Any) -> dict[str, Any]:
    return {
        "optimizer": optimizer,
        "version": 1,
        "hyperparameters": hyperparameters or {"lr": 0.1},
        "protocol": {},
        "probes": [],
    }


def run_id(*names: Any) -> str:
    return digest(names)[:16]


def record(
    test: float | str | None = 0.5,
    validation: float | None = 0.5,
    *,
    of_problem: dict[str, Any] | None = None,
    of_setting: dict[str, Any] | None = None,
    seed: int = 0,
    updates: int = 100,
    **changes: Any,
) -> Record:
    """A record with test and validation accuracy; `test=DIVERGED` for a diverged run."""
    of_problem, of_setting = of_problem or problem(), of_setting or setting()
    diverged = test == DIVERGED
    digests = Identity(problem=digest(of_problem), setting=digest(of_setting))
    values = {ACCURACY: None if diverged else test, "validation/accuracy": None if diverged else validation}
    fields: dict[str, Any] = {
        "id": run_id(digests.problem, digests.setting, seed),
        "digests": digests,
        "problem": of_problem,
        "setting": of_setting,
        "seed": seed,
        "status": "diverged" if diverged else "finished",
        "scores": [Score(name=n, unit="%", higher_is_better=True, value=v) for n, v in values.items()],
        "headline": ACCURACY,
        "selection": "validation/accuracy",
        "updates": updates,
        "diverged_at": 7 if diverged else None,
        "curve": Curve(unit="epochs", points={"train/loss": [(0.5, 2.0), (1.0, 1.0)]}),
        "provenance": {"attempt": 1, "code": {"tree": "aaaa"}},
    }
    return Record(**(fields | changes))


class Sweep:
    """A plan and the records of its runs.

    rows: settings by row; with `tune`, each row selects among its settings, with `tuning` each report seed by its own.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[dict[str, Any]]],
        *,
        tasks: Sequence[str] = ("mnist",),
        tune: Sequence[int] = (),
        report: Sequence[int] = (10, 11, 12),
        baseline: str | None = None,
        scale: str = "smoke",
        higher_is_better: bool = True,
        looks: Sequence[int] = (),
        tuning: Mapping[int, Sequence[int]] | None = None,
    ) -> None:
        self.problems = {task: problem(task, scale) for task in tasks}
        self.settings = {digest(s): s for settings in rows.values() for s in settings}
        mark = "" if scale == "paper" else f" [{scale}, standin-1]"
        columns = [
            Column(
                name=task,
                label=task + mark,
                problem=digest(of_problem),
                metric=ACCURACY,
                unit="%",
                higher_is_better=higher_is_better,
                selection="validation/accuracy" if tune else None,
                selection_higher_is_better=True if tune else None,
            )
            for task, of_problem in self.problems.items()
        ]
        runs = [
            self._planned(task, row, s, seed, role)
            for task in self.problems
            for row, settings in rows.items()
            for s in settings
            for role, seeds in (("tune", tune), ("report", report))
            for seed in seeds
        ]
        head = PlanHead(
            name="sweep",
            scale=scale,
            created="2025-01-01T00:00:00Z",
            digest=digest([r.id for r in runs]),
            baseline=baseline,
            columns=columns,
            rows=[Row(name=row, optimizer=settings[0]["optimizer"]) for row, settings in rows.items()],
            problems={digest(p): p for p in self.problems.values()},
            settings=self.settings,
            looks=list(looks) or msgspec.UNSET,
            tuning=[TuningSeeds(report=r, tune=list(t)) for r, t in (tuning or {}).items()] or msgspec.UNSET,
        )
        self.plan = Plan(head=head, runs=runs)

    def _planned(self, task: str, row: str, of_setting: dict[str, Any], seed: int, role: Any) -> PlannedRun:
        of_problem, setting_digest = digest(self.problems[task]), digest(of_setting)
        return PlannedRun(
            id=run_id(of_problem, setting_digest, seed),
            problem=of_problem,
            setting=setting_digest,
            seed=seed,
            role=role,
            row=row,
            column=task,
        )

    def runs(self, **fields: Any) -> list[PlannedRun]:
        """The planned runs whose fields are as `fields` says; setting may be given as hyperparameters."""
        if isinstance(fields.get("setting"), dict):
            fields["setting"] = digest(fields["setting"])
        return [r for r in self.plan.runs if all(getattr(r, k) == v for k, v in fields.items())]

    def record(
        self, run: PlannedRun, test: float | str | None = 0.5, validation: float = 0.5, **changes: Any
    ) -> Record:
        """The outcome of a planned run."""
        return record(
            test,
            validation,
            of_problem=self.problems[run.column],
            of_setting=self.settings[run.setting],
            seed=run.seed,
            **changes,
        )

    def records(self, values: Callable[[PlannedRun], float | str | None], **wanted: Any) -> list[Record]:
        """Outcomes of the runs as `wanted`; none where `values` is None."""
        found = ((run, values(run)) for run in self.runs(**wanted))
        return [self.record(run, value) for run, value in found if value is not None]


def laid_out(plan: Plan, table: Table) -> Plan:
    """`plan` with the printed layout `table`."""
    return msgspec.structs.replace(plan, head=msgspec.structs.replace(plan.head, table=table))


def counted(*values: float | str | None) -> Callable[[PlannedRun], float | str | None]:
    """`values` over and over."""
    source = itertools.cycle(values)
    return lambda _: next(source)
