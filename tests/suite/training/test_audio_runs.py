"""Each audio task learns and resumes exactly with AdamW, AdamP and Adam-then-SGD, also across its switch."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Problem, Run, Setting, optimizer_of, task_of
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.evaluation import Outcome
from optathlon.suite.training.loop import train
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.working.execute import build
from tests.miniatures import put_miniatures

pytestmark = pytest.mark.slow

TASKS = ("mtat", "speech-commands", "dcase2017")
SWITCH = 2
OPTIMIZERS = ("adamw", "adamp", "adam_sgd")
TINY: dict[str, dict[str, Any]] = {
    "mtat": {"channels": 2, "n_fft": 128, "input_length": 18_368, "windows": 1, "training_clips": 24},
    "speech-commands": {"channels": 2, "words": 3, "training_clips": 8, "evaluation_clips": 2},
    "dcase2017": {"channels": 2, "n_fft": 128, "input_length": 8_128, "windows": 1, "training_clips": 24},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, *TASKS)
    return root


def run_of(task: str, optimizer: str, rate: float = 3e-3, switch: int = SWITCH, **changes: Any) -> Run:
    """At smoke scale; the mixture takes up the best weights at its switch and an epoch later, as its rate changes."""
    spec, described = optimizer_of(optimizer), task_of(task)
    values: dict[str, Any] = {"lr": rate, "weight_decay": 0.0}
    if optimizer == "adam_sgd":
        values |= {"weight_decay": 1e-4, "switch": switch}
        milestones = [switch, switch + 1]
        schedule = {"kind": "piecewise", "milestones": milestones, "factors": [1.0, 10.0, 1.0]}
        changes |= {"restore_best_at": milestones, "schedule": schedule}
    resolved = described.protocol("smoke").override(changes)
    problem = Problem(task=task, version=described.version, scale="smoke", data={}, protocol=resolved)
    setting = Setting(optimizer=optimizer, version=spec.version, hyperparameters=spec.resolve(values))
    return Run(problem=problem, setting=setting, seed=3)


def carry_out(run: Run, data: Path, folder: Path, stops: Sequence[int] = ()) -> Outcome:
    """To its end, in attempts that are stopped after so many updates each, and a last one that is not."""
    for updates in (*stops, None):
        asked = itertools.count(1)

        def stop(updates=updates, asked=asked) -> bool:
            return updates is not None and next(asked) >= updates

        around = Surroundings(Checkpoints(folder, run.id, lambda _: None), stop=stop)
        try:
            return train(run, build(run, data, torch.device("cpu"), 0), around)
        except Preempted:
            continue
    raise AssertionError("the last attempt was stopped")


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("task", TASKS)
def test_a_run_stopped_after_each_update_is_the_same_run(data, task, optimizer, tmp_path):
    """Three updates an epoch, four epochs: the mixture's switch and both reloads of the best weights are in between."""
    run = run_of(task, optimizer, length=4, settings=TINY[task])
    whole, stopped = (tmp_path / name for name in ("whole", "stopped"))
    whole.mkdir()
    stopped.mkdir()
    expected, found = carry_out(run, data, whole), carry_out(run, data, stopped, stops=[1] * 40)
    assert found.weights == expected.weights
    assert found.scores == expected.scores
    assert found.state.curve == expected.state.curve
    assert expected.status == "finished"


SMALL: dict[str, dict[str, Any]] = {
    "mtat": {"n_fft": 128, "input_length": 18_368},
    "speech-commands": {},
    "dcase2017": {"channels": 6, "n_fft": 128, "input_length": 8_128},
}
"""The smoke scale with shorter windows."""


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize(
    ("task", "length", "rate", "score"),
    [("mtat", 6, 3e-3, 65.0), ("speech-commands", 3, 3e-3, 30.0), ("dcase2017", 6, 1e-2, 20.0)],
)
def test_each_optimizer_learns(data, task, length, rate, score, optimizer, tmp_path):
    """Chance is 50 for music and 10 for words; to hear every event in each clip scores 14."""
    run = run_of(task, optimizer, rate, switch=length - 2, length=length, settings=SMALL[task])
    outcome = carry_out(run, data, tmp_path)
    assert outcome.scores[f"test/{task_of(task).metrics[0].name}"] > score, outcome.scores
