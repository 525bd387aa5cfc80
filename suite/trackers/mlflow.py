"""Runs as an MLflow database: one experiment per sweep, `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optathlon.suite.trackers.tracked_run import TrackedRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

METRICS_AT_ONCE, PARAMETERS_AT_ONCE = 1000, 100
LONGEST_KEY = 250
"""MLflow's own limits."""


def write(runs: Iterable[TrackedRun], folder: Path) -> None:
    """Write `runs` into FOLDER/mlflow.db. ImportError without the packages mlflow(-skinny), sqlalchemy and alembic."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # it would send what was called to its makers
    import alembic  # noqa: F401  # what mlflow-skinny leaves out, and a database needs
    import sqlalchemy  # noqa: F401
    from mlflow.tracking import MlflowClient

    logging.getLogger("mlflow").setLevel(logging.WARNING)
    folder.mkdir(parents=True, exist_ok=True)
    client = MlflowClient(tracking_uri=f"sqlite:///{folder.resolve()}/mlflow.db")
    for sweep, of_sweep in itertools.groupby(sorted(runs, key=lambda run: run.sweep), key=lambda run: run.sweep):
        # MLflow makes an experiment "Default" in every database, and a sweep may be called so.
        known = client.get_experiment_by_name(sweep)
        artifacts = (folder.resolve() / "artifacts").as_uri()
        experiment = known.experiment_id if known else client.create_experiment(sweep, artifact_location=artifacts)
        for run in of_sweep:
            _write_run(client, experiment, run)


def _write_run(client: MlflowClient, experiment: str, run: TrackedRun) -> None:
    from mlflow.entities import Metric, Param

    made = client.create_run(experiment, run_name=run.name).info
    metrics = [Metric(_key(curve), value, made.start_time, step) for curve, _, step, value in run.points()]
    metrics += [Metric(f"score/{_key(name)}", value, made.start_time, 0) for name, value in run.scores.items()]
    for first in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(made.run_id, metrics=metrics[first : first + METRICS_AT_ONCE])
    parameters = [Param(key, str(value)) for key, value in _distinct_keys(run.settings).items()]
    for first in range(0, len(parameters), PARAMETERS_AT_ONCE):
        client.log_batch(made.run_id, params=parameters[first : first + PARAMETERS_AT_ONCE])
    client.set_terminated(made.run_id)


def _key(name: str) -> str:
    """`name` without what MLflow takes in no name: "test/recall@1" is "test/recall_1".

    MLflow also refuses what would be another path, as "../loss" or "a//b", and what is longer than LONGEST_KEY.
    """
    parts = re.sub(r"[^\w.\- :/]", "_", name)[:LONGEST_KEY].split("/")
    return "/".join("_" if part in ("", ".", "..") else part for part in parts)


def _distinct_keys(settings: Mapping[str, Any]) -> dict[str, Any]:
    """`settings` by keys that MLflow takes; "_" follows one that would be another's, as it keeps one value per key."""
    keyed: dict[str, Any] = {}
    for name, value in settings.items():
        key = _key(name)
        while key in keyed:
            key += "_"
        keyed[key] = value
    return keyed
