"""The kit passes a sound task, and says of each mistake in one line what is wrong."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from optathlon import tasks
from optathlon.tasks.conformance import checks

HERE = Path(__file__).resolve().parent
FAULTS = {
    "TASK_OtherName": ("evaluates every split", "misses 'accuracy' and has 'acc' besides"),
    "TASK_NoScores": ("evaluates every split", "evaluate('validation') returns None"),
    "TASK_NoTestSplit": ("evaluates every split", "it must know the split 'test'"),
    "TASK_LeavesEvalMode": ("evaluates every split", "leaves model (Sequential) in eval mode; put it back"),
    "TASK_MovesBuffer": ("evaluation leaves no trace", "evaluate('validation') changes buffer model.1.running_mean"),
    "TASK_RandomScores": ("evaluation leaves no trace", "RandomScores.evaluate('validation') asked twice gives"),
    "TASK_VectorLoss": ("loss has finite gradients", "a tensor of shape (8,), not one number; take its .mean()"),
    "TASK_NanLoss": ("loss has finite gradients", "NanLoss.loss(batch, 'model') is nan on micro-batch 0"),
    "TASK_UnusedPlayer": ("loss has finite gradients", "gives no parameter of 'other' a gradient"),
    "TASK_UnrepeatableLoss": ("loss is repeatable", "UnrepeatableLoss.loss(batch, 'model') asked twice gives"),
    "TASK_NoPlayers": ("is built", 'has no players; set them in its __init__: self.players = {"model": net}'),
    "TASK_Raises": ("is built", "raised ArithmeticError: no such width (faulty.py, line "),
    "TASK_NoFile": ("is built", "points.npy' (faulty.py, line "),
    "NO_WORKLOAD": ("is built", "faulty:Nowhere: module 'faulty' has no attribute 'Nowhere'"),
    "NO_DATA": ("data is there", "mnist: no prepared data"),
    "NO_DATASET": ("data is there", "unknown data set 'mnits' (did you mean mnist?)"),
    "TASK_BatchesRaise": ("yields batches", "raised ArithmeticError: no such epoch (faulty.py, line "),
    "TASK_BatchesNone": ("yields batches", "returns a NoneType; it must yield Batches"),
    "TASK_BatchesEmpty": ("yields batches", "yields 0, but an update takes 2 micro-batches of 8: too few data"),
    "TASK_BatchesOfPairs": ("yields batches", "yields a tuple; it must yield Batch(data, index, of, size)"),
    "TASK_IgnoresStart": ("starts anywhere", "is not batches(1) from micro-batch 2 on: heed `start`"),
    "TASK_GlobalNoise": ("starts anywhere", "yields other data when asked again: take random numbers from"),
    "TASK_IgnoresRank": ("processes share the batches", "yield those whose index % world is rank"),
    "TASK_Forgets": (
        "memory survives a resume",
        "after a resume: state_dict lacks something",
    ),
}


@pytest.fixture
def card_of(tmp_path, monkeypatch):
    shutil.copy(HERE.parent / "faulty.py", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)

    def card(name):
        task = tasks.task(f"faulty:{name}")
        return checks.check(task, "smoke", task.protocol("smoke"), tmp_path)

    return card


def test_a_sound_task_passes(card_of):
    card = card_of("TASK_Sound")
    assert card.passed
    assert [f.check for f in card.findings if f.status != "pass"] == ["settings are checked"]


@pytest.mark.parametrize("name", FAULTS)
def test_each_mistake_is_told_once_in_one_line(name, card_of):
    check, expected = FAULTS[name]
    failed = {f.check: f.detail for f in card_of(name).findings if f.status == "fail"}
    assert set(failed) == {check}
    assert expected in failed[check]
    assert "\n" not in failed[check]


def test_what_cannot_be_proven_after_a_failure_is_skipped(card_of):
    findings = card_of("TASK_NoPlayers").findings
    assert {f.status for f in findings[3:]} == {"skipped"}


def test_epochs_with_the_same_data_are_no_failure(card_of):
    card = card_of("TASK_SameEveryEpoch")
    assert card.passed
    assert [f.detail for f in card.findings if f.check == "epochs differ"] == ["every epoch begins with the same batch"]


def test_prove_raises_what_the_card_would_say(card_of):
    workload = card_of("TASK_Sound") and sys.modules["faulty"].VectorLoss
    protocol = sys.modules["faulty"].PROTOCOL
    with pytest.raises(AssertionError, match=r"returns a tensor of shape \(8,\)"):
        checks.prove(lambda **process: workload(protocol, Path(), **process))
