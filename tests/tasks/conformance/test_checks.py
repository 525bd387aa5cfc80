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
    "TASK_RandomScores": ("evaluation leaves no trace", "RandomScores.evaluate('test') gives"),
    "TASK_VectorLoss": ("loss has finite gradients", "a tensor of shape (8,), not one number; take its .mean()"),
    "TASK_NanLoss": ("loss has finite gradients", "NanLoss.loss(batch, 'model') is nan on micro-batch 0"),
    "TASK_UnusedPlayer": ("loss has finite gradients", "gives no parameter of 'other' a gradient"),
    "TASK_UnrepeatableLoss": ("loss is repeatable", "UnrepeatableLoss.loss(batch, 'model') asked twice gives"),
    "TASK_NoPlayers": ("is built", 'has no players; set them in its __init__: self.players = {"model": net}'),
    "TASK_Raises": ("is built", "raised ArithmeticError: no such width (faulty.py, line "),
    "TASK_NoFile": ("is built", "points.npy' (faulty.py, line "),
    "NO_DATA": ("data is there", "mnist: no prepared data"),
    "NO_DATASET": ("data is there", "unknown data set 'mnits' (did you mean mnist?)"),
    "TASK_BatchesRaise": ("yields batches", "raised ArithmeticError: no such epoch (faulty.py, line "),
    "TASK_BatchesNone": ("yields batches", "returns None; it must yield Batches"),
    "TASK_BatchesEmpty": ("yields batches", "yields 0, but an update takes 2 micro-batches of 8: too few data"),
    "TASK_BatchesOfPairs": ("yields batches", "yields a tuple; it must yield Batch(data, index, of, size)"),
    "TASK_IgnoresStart": ("starts anywhere", "is not batches(1) from micro-batch 2 on: heed `start`"),
    "TASK_GlobalNoise": ("starts anywhere", "yields other data when asked again: take random numbers from"),
    "TASK_IgnoresRank": ("processes share the batches", "yield those whose index % world is rank"),
    "TASK_NoStart": (
        "is built",
        "NoStart.batches: cannot be called as it must; write def batches(self, epoch, start=0)",
    ),
    "TASK_NoResuming": ("is built", "write def start_epoch(self, epoch, resuming)"),
    "TASK_EveryEpochDoubles": ("memory survives a resume", "does again what it may only do if not resuming"),
    "TASK_OneGenerator": ("starts anywhere", "yields 8 Batches, and 0 when asked again: make a new generator"),
    "TASK_CountsOn": ("starts anywhere", "CountsOn.batches(1) has indices [8, 9, 10, 11]..., not 0, 1, 2, ..."),
    "TASK_FewerLater": ("starts anywhere", "FewerLater.batches(1) yields 6 Batches whose `of` says [8]"),
    "TASK_ScoresOfItsShare": ("processes evaluate alike", "on the other: evaluate the whole split on every process"),
    "TASK_LossTakesThreads": ("loss has finite gradients", "loss(batch, 'model') sets torch's number of threads to"),
    "TASK_EvaluatesInDoubles": ("evaluates every split", "evaluate('validation') sets torch's default dtype to torch"),
    "TASK_FloatIndex": ("yields batches", "a Batch whose index is 0.0: must be a whole number from 0 on"),
    "TASK_NoSize": ("yields batches", "a Batch whose size is 0: must be a whole number from 1 on"),
    "TASK_NoScale": ("yields batches", "a Batch whose lr_scale is None: must be a number from 0 on"),
    "TASK_SmallLast": ("yields batches", "yields sizes [8, 3] in one update: leave out the last, smaller ones"),
    "TASK_HalfMicroBatches": ("yields batches", "yields Batches of size 4; protocol.micro_batch_size says 8"),
    "TASK_NormalizesInPlace": ("loss changes only buffers", "changes batch.data in place: change a copy of it"),
    "TASK_CallsBackward": ("loss has finite gradients", "computes gradients itself; the loop calls backward()"),
    "TASK_LossInEvalMode": ("loss changes only buffers", "in eval mode; put it back in training mode, as it was, at"),
    "TASK_LossDecays": ("loss changes only buffers", "changes parameter model.0.weight: only the optimizer may"),
    "TASK_OtherDevice": ("loss has finite gradients", "a tensor on meta, not on cpu; keep all on self.device"),
    "TASK_ReplacesNet": (
        "evaluates every split",
        "replaces model (Sequential), but its optimizer steps the one before",
    ),
    "TASK_Freezes": ("evaluation leaves no trace", "changes requires_grad of model.0.weight and 1 more"),
    "TASK_RemembersValidation": ("evaluation leaves no trace", "where nothing was evaluated before {'accuracy':"),
    "TASK_NanScore": ("evaluates every split", "evaluate('validation'): 'accuracy' is nan for initial weights"),
    "TASK_NumpyScore": ("evaluates every split", "'accuracy' is a float32, not a number; return float(...) of it"),
    "TASK_NumpyWeights": ("same seed builds same weights", "differ in parameter model.0.weight: draw from torch's"),
    "TASK_LazyNet": ("is built", "players['model']: weight has no shape yet; give its layer all sizes"),
    "TASK_NumberedPlayer": ("is built", 'players[0]: the name must be text, {"model": net}, not an int'),
    "TASK_SharedPlayers": ("is built", "players['other']: shares 0.weight with 'model'"),
    "TASK_TwoThreads": ("is built", "sets torch's number of threads to"),
    "TASK_NoState": ("is built", "NoState.state_dict() returns None; it must return a dictionary"),
    "TASK_StateOfFunctions": ("is built", "state_dict()['act'] is a builtin_function_or_method; only plain values"),
    "TASK_TextTags": ("tags are known", "returns no dictionary of sets"),
    "TASK_FewTags": ("tags are known", "must name each parameter and nothing else: '0.bias', '1.bias', '1.weight'"),
    "TASK_UnknownTags": ("tags are known", "has unknown ['wide']; known are bias, norm"),
    "CHECK_RAISES": ("settings are checked", "faulty:raises raised KeyError: 'width' (faulty.py, line "),
    "CHECK_IS_FALSE": ("settings are checked", "returned False; to refuse a protocol it must raise TaskError"),
    "NOT_READY": ("data is there", "faulty:raises raised KeyError: 'width' (faulty.py, line "),
    "BAD_REFERENCES": ("references are scores", "expected {model: {'test/accuracy': value}}"),
    "TASK_Forgets": (
        "memory survives a resume",
        "after a resume: state_dict lacks something, or start_epoch does again",
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
    assert [f.check for f in card.findings if f.status != "pass"] == ["settings are checked", "references are scores"]


@pytest.mark.parametrize("name", FAULTS)
def test_each_mistake_is_told_once_in_one_line(name, card_of):
    check, expected = FAULTS[name]
    failed = {f.check: f.detail for f in card_of(name).findings if f.status == "fail"}
    assert set(failed) == {check}
    assert expected in failed[check]
    assert "\n" not in failed[check]


def test_what_cannot_be_proven_after_a_failure_is_skipped(card_of):
    findings = card_of("TASK_NoPlayers").findings
    assert {f.status for f in findings[4:]} == {"skipped"}


def test_settings_that_are_refused_are_no_fault_of_what_reads_them(card_of):
    findings = card_of("READS_BAD_SETTINGS").findings
    assert [finding.check for finding in findings if finding.status == "fail"] == ["settings are checked"]


def test_epochs_with_the_same_data_are_no_failure(card_of):
    card = card_of("TASK_SameEveryEpoch")
    assert card.passed
    assert [f.detail for f in card.findings if f.check == "epochs differ"] == ["every epoch begins with the same batch"]


def test_prove_raises_what_the_card_would_say(card_of):
    workload = card_of("TASK_Sound") and sys.modules["faulty"].VectorLoss
    protocol = sys.modules["faulty"].PROTOCOL
    with pytest.raises(AssertionError, match=r"returns a tensor of shape \(8,\)"):
        checks.prove(lambda **process: workload(protocol, Path(), **process))
