"""Proves with the real loop that a run stopped after each update, and at each border, is the run that was not."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Run
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.loop import train
from optathlon.suite.training.seeds import seed
from optathlon.suite.training.surroundings import Surroundings
from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.conformance.kit import require
from optathlon.tasks.workload import Workload

STOPS = 6
_PARTS = ("players", "workload", "optimizers", "curve")


def goes_on_exactly_from_any_update(run: Run, build: Callable[[], Workload]) -> None:
    """Raise Broken unless `run`, stopped STOPS times, is in the state of the run that is stopped there once."""
    with tempfile.TemporaryDirectory() as folder:
        whole = _stopped(run, build, Path(folder) / "whole", every=STOPS)
        resumed = _stopped(run, build, Path(folder) / "resumed", every=1)
    for part in _PARTS:
        require(
            digest(whole[part]) == digest(resumed[part]),
            f"a run that is stopped and goes on has another {part} state than one that is not: what start_epoch, "
            "batches or loss carry along must be in state_dict, or be made anew from epoch and index",
        )


def _stopped(run: Run, build: Callable[[], Workload], folder: Path, every: int) -> dict[str, Any]:
    """The state of `run` after STOPS points at which it may be stopped, of which each `every`-th stops it."""
    folder.mkdir()
    for _ in range(STOPS // every):
        asked = itertools.count(1)
        around = Surroundings(
            Checkpoints(folder, run.id, lambda _: None),
            stop=lambda asked=asked: next(asked) >= every,
            interval=float("inf"),
        )
        seed(torch.device("cpu"), run.seed, "init")
        try:
            train(run, build(), around)
        except Preempted:
            continue
        break
    saved = Checkpoints(folder, run.id, lambda _: None).load()
    assert saved is not None
    return saved
