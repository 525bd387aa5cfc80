"""numpy's floats are floats to Python, but not to a checkpoint or a record: a task may give them, an optimizer that
keeps them is told so at its first checkpoint, not by what is lost after a kill."""

from __future__ import annotations

import collections
import dataclasses
import typing

import msgspec
import numpy as np
import pytest
import torch

from optathlon import TaskError, tasks
from optathlon.optimizers import OptimizerError
from optathlon.suite.training import loadable
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.working.outcome import record_of
from optathlon.tasks.description import verified_scores
from tests.suite.training.runs import carry_out, result, run_of

import toy  # isort: skip  (test_loop finds it)


class NumpyToy(toy.Toy):
    """The toy, as one writes it who computes with numpy."""

    def batches(self, epoch, start=0):
        for batch in super().batches(epoch, start):
            yield dataclasses.replace(batch, lr_scale=np.float64(1.0))

    def evaluate(self, split):
        return {name: np.float64(value) for name, value in super().evaluate(split).items()}


NUMPY = msgspec.structs.replace(toy.TASK, workload=f"{__name__}:NumpyToy")


def test_a_task_may_compute_with_numpy(tmp_path):
    plain, ours = tmp_path / "plain", tmp_path / "ours"
    plain.mkdir()
    ours.mkdir()
    run, warned = run_of(task=f"{__name__}:NUMPY"), []
    outcome = carry_out(run, ours, stops=[3, 3, 3, 3], warn=warned.append)
    assert result(outcome) == result(carry_out(run_of(), plain))
    assert warned == []
    again = msgspec.json.decode(msgspec.json.encode(record_of(run, outcome, {})))
    assert {score["name"]: score["value"] for score in again["scores"]} == outcome.scores


def test_an_integer_that_no_float_holds_is_no_score():
    task = tasks.task("toy:TASK")
    assert verified_scores(task, "test", {"accuracy": 1, "loss": 2}) == {"accuracy": 1.0, "loss": 2.0}
    with pytest.raises(TaskError, match="'loss' is an integer larger than any float"):
        verified_scores(task, "test", {"accuracy": 1, "loss": -(10**400)})


def test_the_metric_that_a_run_selects_by_is_not_missing():
    """A sweep may select by another than the task's own protocols do."""
    task = tasks.task("toy:PLAIN")
    assert verified_scores(task, "validation", {"accuracy": 1.0}) == {"accuracy": 1.0}
    with pytest.raises(TaskError, match="misses 'loss'"):
        verified_scores(task, "validation", {"accuracy": 1.0}, selected="loss")


class KeepsNumpy(torch.optim.SGD):
    """Its rate becomes one of numpy's, as by np.sqrt."""

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

    def step(self, closure=None):
        super().step(closure)
        for group in self.param_groups:
            group["shrunk"] = np.sqrt(group["lr"])


def test_an_optimizer_whose_state_cannot_be_loaded_again_is_named_at_the_first_checkpoint(tmp_path):
    message = r"optimizers\.model\.param_groups\.0\.shrunk is a float64, with which no checkpoint can be loaded again"
    with pytest.raises(OptimizerError, match=message):
        carry_out(run_of(f"{__name__}:KeepsNumpy", lr=0.1), tmp_path, stops=[2])
    assert list(tmp_path.glob("checkpoint-*")) == []
    assert list(tmp_path.glob(".checkpoint-*")) == []


class Pair(typing.NamedTuple):
    a: int
    b: int


@pytest.mark.parametrize(
    "value",
    [
        np.float32(1),
        np.zeros(2),
        collections.deque([1]),
        collections.defaultdict(list),
        frozenset({1}),
        Pair(1, 2),
        len,
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize(
    ("part", "error"), [("optimizers", OptimizerError), ("workload", TaskError), ("probes", TypeError)]
)
def test_what_torch_would_not_load_is_not_saved(value, part, error, tmp_path):
    files = Checkpoints(tmp_path, "0123456789abcdef", print)
    with pytest.raises(error, match=f"{part}.a.1 is an? "):
        files.save({"weights": torch.zeros(3), part: {"a": [0, value]}}, 1, None)
    assert files.load() is None


def test_what_torch_loads_is_saved(tmp_path):
    files = Checkpoints(tmp_path, "0123456789abcdef", print)
    loadable_values = [
        torch.bfloat16,
        torch.device("cpu"),
        torch.Size([2]),
        collections.OrderedDict(a=1),
        {1},
        1j,
        b"x",
    ]
    assert {type(value) for value in loadable_values} <= {*loadable.CONTAINERS, *loadable.VALUES}
    assert files.save({"values": loadable_values}, 1, None)
    assert files.load() == {"values": loadable_values}
