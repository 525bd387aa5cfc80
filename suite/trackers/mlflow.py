"""Runs as an MLflow database: one experiment per sweep, `mlflow ui --backend-store-uri sqlite:///FOLDER/mlflow.db`."""

from __future__ import annotations

import itertools
import logging
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from optathlon.suite.trackers.tracked_run import TrackedRun

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

METRICS_AT_ONCE = 1000
"""MLflow's own limit."""


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
        experiment = client.create_experiment(sweep, artifact_location=(folder.resolve() / "artifacts").as_uri())
        for run in of_sweep:
            _write_run(client, experiment, run)


def _write_run(client: MlflowClient, experiment: str, run: TrackedRun) -> None:
    from mlflow.entities import Metric, Param

    made = client.create_run(experiment, run_name=run.name).info
    metrics = [Metric(_key(curve), value, made.start_time, step) for curve, _, step, value in run.points()]
    metrics += [Metric(f"score/{_key(name)}", value, made.start_time, 0) for name, value in run.scores.items()]
    for first in range(0, len(metrics), METRICS_AT_ONCE):
        client.log_batch(made.run_id, metrics=metrics[first : first + METRICS_AT_ONCE])
    client.log_batch(made.run_id, params=[Param(_key(key), str(value)) for key, value in run.settings.items()])
    client.set_terminated(made.run_id)


def _key(name: str) -> str:
    """`name` without what MLflow takes in no name: "test/recall@1" is "test/recall_1"."""
    return re.sub(r"[^\w.\- :/]", "_", name)
