"""Runs as Weights & Biases keeps them offline: `wandb sync FOLDER/wandb/offline-run-*` uploads them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from optathlon.suite.trackers.tracked_run import TrackedRun

ENVIRONMENT = {
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_SILENT": "true",
    # Seconds for its own process to start: on a busy machine it takes longer than the 30 that it is given.
    "WANDB__SERVICE_WAIT": "600",
    "WANDB_INIT_TIMEOUT": "600",
}
"""What is set before the package is imported, unless the user has set it."""


def write(runs: Iterable[TrackedRun], folder: Path) -> None:
    """Write `runs` below FOLDER/wandb; nothing is sent. ImportError without the package wandb."""
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    import wandb

    folder.mkdir(parents=True, exist_ok=True)
    settings = wandb.Settings(console="off", x_disable_stats=True, x_disable_meta=True, x_disable_machine_info=True)
    for number, run in enumerate(runs):
        record, unit = run.record, run.record.curve.unit
        made = wandb.init(
            mode="offline",
            dir=str(folder),
            project=run.sweep,
            group=run.row,
            job_type=run.role or None,
            name=run.name,
            id=f"{record.id}-{number}",  # a run that two sweeps share is two of theirs
            config=run.settings,
            settings=settings,
        )
        rows: dict[float, dict[str, float]] = {}
        for curve, time, _, value in run.points():
            rows.setdefault(time, {unit: time})[curve] = value
        for curve in record.curve.points:
            made.define_metric(curve, step_metric=unit)
        for _, row in sorted(rows.items()):
            made.log(row)
        made.summary.update({f"score/{name}": value for name, value in run.scores.items()})
        made.finish()
    wandb.teardown()  # waits for the process that writes the files; finish() may return before the last is whole
