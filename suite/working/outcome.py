"""The record of a run's outcome."""

from __future__ import annotations

import math
from typing import Any

import msgspec

from optathlon.results.record import Curve, Record, Score
from optathlon.suite.identity import Run, task_of
from optathlon.suite.training.evaluation import Outcome
from optathlon.tasks import Task


def headline(task: Task) -> str:
    """Returns the name of the score that boards rank by."""
    return f"test/{task.metrics[0].name}"


def selection(run: Run, task: Task) -> str | None:
    """Returns the name of the validation score that settings are selected by: of the protocol's metric, else of the
    task's first; None without a validation split."""
    if run.protocol.holdout == "none":
        return None
    return f"validation/{run.protocol.select.metric if run.protocol.select else task.metrics[0].name}"


def record_of(run: Run, outcome: Outcome, provenance: dict[str, Any]) -> Record:
    """Returns the record of `run`: of a metric that has no finite value the score is None, of a diverged run of all."""
    task, state = task_of(run.problem.task), outcome.state
    metrics = {m.name: m for m in task.metrics}
    names = outcome.scores or {headline(task): None, selection(run, task): None}
    scores = []
    for name, value in names.items():
        metric = metrics.get(name.partition("/")[2]) if name else None
        if name and metric:
            finite = value if value is not None and math.isfinite(value) else None
            scores.append(Score(name=name, unit=metric.unit, higher_is_better=metric.higher_is_better, value=finite))
    return Record(
        id=run.id,
        digests=run.digests,
        problem=msgspec.to_builtins(run.problem),
        setting=msgspec.to_builtins(run.setting),
        seed=run.seed,
        status="diverged" if outcome.status == "diverged" else "finished",
        scores=scores,
        headline=headline(task),
        selection=selection(run, task),
        updates=state.update,
        diverged_at=state.known_bad if state.diverged else None,
        weights=outcome.weights,
        curve=Curve(unit=state.protocol.unit, points=state.curve),
        provenance=provenance,
    )
