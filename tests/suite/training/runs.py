"""Runs of the toy task, trained within the test's process, and stopped after as many updates as a test likes."""

from __future__ import annotations

import functools
import itertools
import tempfile
from pathlib import Path

import torch

from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Problem, Run, Setting, optimizer_of, task_of
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.evaluation import Outcome
from optathlon.suite.training.loop import train
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.execute import build
from tests.suite.sweeps import HERE

look_beside(HERE)
OPTIMIZERS = {"sgd": {"lr": 0.1, "momentum": 0.9}, "adamw": {"lr": 1e-2}, "adamp": {"lr": 1e-2}}


def run_of(optimizer="sgd", variant=None, seed=5, task="toy:TASK", protocol=None, **hyperparameters) -> Run:
    import toy

    spec, described = optimizer_of(optimizer), task_of(task)
    resolved = described.protocol("smoke").override(toy.VARIANTS.get(variant, {})).override(protocol or {})
    problem = Problem(task=task, version=described.version, scale="smoke", data={}, protocol=resolved)
    values = spec.resolve(hyperparameters or OPTIMIZERS.get(optimizer, {}))
    return Run(
        problem=problem, setting=Setting(optimizer=optimizer, version=spec.version, hyperparameters=values), seed=seed
    )


def attempt(run: Run, folder: Path, updates: int | None = None, workers=0, warn=lambda _: None) -> Outcome | None:
    """One attempt: to the end, or None if it was stopped after so many updates."""
    asked = itertools.count(1)
    around = Surroundings(
        Checkpoints(folder, run.id, warn), stop=lambda: updates is not None and next(asked) >= updates
    )
    try:
        return train(run, build(run, folder, torch.device("cpu"), workers), around)
    except Preempted:
        return None


def carry_out(run: Run, folder: Path, stops=(), **how) -> Outcome:
    """To its end, in attempts that are stopped after so many updates each, and a last one that is not."""
    for updates in (*stops, None):
        if outcome := attempt(run, folder, updates, **how):
            return outcome
    raise AssertionError("the last attempt was stopped")


def result(outcome: Outcome):
    return outcome.weights, outcome.scores, outcome.state.curve, outcome.status


@functools.cache
def uninterrupted(optimizer, variant):
    with tempfile.TemporaryDirectory() as folder:
        return result(carry_out(run_of(optimizer, variant), Path(folder)))
