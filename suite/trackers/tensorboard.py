"""Runs as TensorBoard's event files: one folder per run, its curves as scalars, its setting as hyperparameters."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from optathlon.suite.trackers.tracked_run import TrackedRun, file_name


def write(runs: Iterable[TrackedRun], folder: Path) -> None:
    """Write `runs` below `folder`, as SWEEP/TASK/ROW-SEED-ID. ImportError without the package tensorboard."""
    from torch.utils.tensorboard.writer import SummaryWriter

    for run in runs:
        record = run.record
        name = f"{file_name(run.row)}-s{record.seed}-{run.role or 'run'}-{record.id}"
        place = folder / file_name(run.sweep) / file_name(record.problem["task"]) / name
        with SummaryWriter(str(place)) as writer:
            for curve, _, step, value in run.points():
                writer.add_scalar(curve, value, step)
            settings = {key: value if isinstance(value, bool | int | float | str) else str(value)
                        for key, value in run.settings.items()}  # fmt: skip
            # "score/" keeps a curve and the final score of one name apart; "." is the folder of the curves.
            writer.add_hparams(settings, {f"score/{key}": value for key, value in run.scores.items()}, run_name=".")
