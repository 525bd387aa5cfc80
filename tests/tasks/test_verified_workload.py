"""What a workload answers wrongly is one line with the object and the remedy."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from optathlon import tasks
from optathlon.tasks.verified_workload import build, loss_of, micro_batches, scores_of

HERE = Path(__file__).resolve().parent
NOT_BUILT = {
    "NoPlayers": 'NoPlayers: has no players; set them in its __init__: self.players = {"model": net}',
    "PlayersOneNet": 'players: is a Sequential, and must be a dictionary of networks: {"model": net}',
    "NoSuper": "NoSuper: its __init__ must call super().__init__(protocol, data, **process)",
    "NoProcess": "unexpected keyword argument 'device'; take `**process` and hand it on",
}
BAD_BATCHES = {
    "BatchesNone": "BatchesNone.batches(0, 0) returns None; it must yield Batches",
    "BatchesOfPairs": "yields a tuple; it must yield Batch(data, index, of, size)",
}
BAD_LOSSES = {
    "VectorLoss": "VectorLoss.loss(batch, 'model') returns a tensor of shape (8,), not one number; take its .mean()",
    "FloatLoss": "returns a float; it must return a tensor of one number",
    "DetachedLoss": "does not depend on any parameter",
}
BAD_SCORES = {
    "OtherName": "evaluate('test') misses 'accuracy' and has 'acc' besides",
    "NoScores": "evaluate('test') returns None",
    "TensorScore": "'accuracy' is a Tensor, not a number; return float(...) of it",
    "LeavesEvalMode": "LeavesEvalMode.evaluate('test') leaves model (Sequential) in eval mode; put it back in training",
    "NoTestSplit": "NoTestSplit.evaluate('test') raised KeyError: 'test' (faulty.py, line ",
}


@pytest.fixture
def make(tmp_path, monkeypatch):
    shutil.copy(HERE / "faulty.py", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)

    def workload(name):
        task = tasks.task(f"faulty:TASK_{name}")
        return task, build(task, task.protocol("smoke"), tmp_path, device="cpu", seed=3)

    return workload


@pytest.mark.parametrize("name", NOT_BUILT)
def test_what_cannot_be_trained_is_not_built(name, make):
    with pytest.raises(tasks.TaskError) as caught:
        make(name)
    assert NOT_BUILT[name] in str(caught.value)


def test_what_a_task_raises_itself_is_not_changed(make):
    with pytest.raises(ArithmeticError, match="no such width"):
        make("Raises")


@pytest.mark.parametrize("name", BAD_BATCHES)
def test_batches_are_batches(name, make):
    with pytest.raises(tasks.TaskError) as caught:
        list(micro_batches(make(name)[1], 0))
    assert BAD_BATCHES[name] in str(caught.value)


@pytest.mark.parametrize("name", BAD_LOSSES)
def test_a_loss_is_one_number_with_a_gradient(name, make):
    workload = make(name)[1]
    with pytest.raises(tasks.TaskError) as caught:
        loss_of(workload, next(micro_batches(workload, 0)), "model")
    assert BAD_LOSSES[name] in str(caught.value)


@pytest.mark.parametrize("name", BAD_SCORES)
def test_an_evaluation_gives_the_described_scores_and_puts_modes_back(name, make):
    task, workload = make(name)
    with pytest.raises(tasks.TaskError) as caught:
        scores_of(workload, task, "test")
    assert BAD_SCORES[name] in str(caught.value)


def test_a_sound_workload_is_as_it_is(make):
    task, workload = make("Sound")
    batches = list(micro_batches(workload, 0))
    assert [batch.index for batch in batches] == list(range(8))
    assert loss_of(workload, batches[0], "model").ndim == 0
    assert list(scores_of(workload, task, "test")) == ["accuracy"]
