"""Stopped anywhere and continued, a run is the same run: weights, scores and curve, bit for bit."""

from __future__ import annotations

import random

import pytest
import torch

from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.loop import train
from optathlon.suite.training.surroundings import Fenced, Surroundings
from optathlon.suite.working.execute import build
from tests.suite.training.runs import OPTIMIZERS, carry_out, result, run_of, uninterrupted


@pytest.mark.parametrize("variant", ["epochs", "steps", "ema", "restore", "bf16"])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_stop_after_each_update_changes_nothing(optimizer, variant, tmp_path):
    """Of three whole updates an epoch, and a micro-batch that is left over."""
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    run = run_of(optimizer, variant, protocol={"settings": {"samples": 56}})
    assert result(carry_out(run, a, stops=[1] * 200)) == result(carry_out(run, b))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_stops_anywhere_change_nothing(optimizer, tmp_path):
    chance = random.Random(optimizer)
    for trial in range(6):
        stops = [chance.randint(1, 9) for _ in range(4)]
        (folder := tmp_path / str(trial)).mkdir()
        outcome = carry_out(run_of(optimizer, "epochs"), folder, stops)
        assert result(outcome) == uninterrupted(optimizer, "epochs"), stops


@pytest.mark.parametrize("workers", [1, 2])
def test_data_workers_change_nothing(workers, tmp_path):
    assert result(carry_out(run_of("sgd", "epochs"), tmp_path, stops=[3], workers=workers)) == uninterrupted(
        "sgd", "epochs"
    )


def test_a_newer_attempt_fences_this_one(tmp_path):
    run = run_of()
    around = Surroundings(Checkpoints(tmp_path, run.id, print), fenced=lambda: True, interval=0.0)
    with pytest.raises(Fenced):
        train(run, build(run, tmp_path, torch.device("cpu"), 0), around)
    assert not list(tmp_path.iterdir())


def test_a_nan_loss_is_an_outcome_with_its_update(tmp_path):
    outcome = carry_out(run_of(protocol={"settings": {"explode_at": 17}}), tmp_path)
    assert outcome.status == "diverged"
    assert outcome.state.known_bad == 17 // 2
    assert outcome.scores == {}
    assert any(value is None for _, value in outcome.state.curve["train/loss"])


def test_a_stop_does_not_hide_a_divergence(tmp_path):
    run = run_of(protocol={"settings": {"explode_at": 17}})
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    assert result(carry_out(run, a, stops=[1] * 40)) == result(carry_out(run, b))


def test_evaluating_more_often_does_not_change_training(tmp_path):
    """The final weights of runs that watch each epoch, or only the end."""
    weights = set()
    for every in (1, 3):
        (folder := tmp_path / str(every)).mkdir()
        run = run_of(protocol={"evaluate_every": every, "checkpoint": "last"})
        weights.add(carry_out(run, folder).weights)
    assert len(weights) == 1


def test_optimizers_start_from_the_same_weights_and_see_the_same_batches(tmp_path):
    starts = []
    for name in OPTIMIZERS:
        run = run_of(name)
        workload = build(run, tmp_path, torch.device("cpu"), 0)
        batch = next(workload.batches(0))
        starts.append((workload.players["model"][0].weight.tolist(), batch.data[0].tolist()))
    assert starts[0] == starts[1] == starts[2]


def test_the_rate_is_the_schedules_at_each_update(tmp_path, monkeypatch):
    rates = []
    step = torch.optim.SGD.step

    def spy(self, closure=None):
        rates.append(self.param_groups[0]["lr"])
        return step(self, closure)

    monkeypatch.setattr(torch.optim.SGD, "step", spy)
    run = run_of(variant="steps", lr=0.1)
    carry_out(run, tmp_path, stops=[3, 4, 5])
    assert rates == [0.1 * run.protocol.schedule.factor(t, 17) for t in range(17)]


def test_parts_of_an_update_give_the_gradient_of_the_whole(tmp_path):
    """Without batch statistics or dropout, accumulation is the mean over the batch."""
    outcomes = []
    for part in (16, 8, 4):
        (folder := tmp_path / str(part)).mkdir()
        run = run_of(protocol={"micro_batch": part, "settings": {"samples": 112}}, task="toy:LINEAR", lr=0.1)
        outcomes.append(carry_out(run, folder).scores["test/loss"])
    assert outcomes[0] == pytest.approx(outcomes[1], rel=1e-5) == pytest.approx(outcomes[2], rel=1e-5)


def test_best_weights_are_judged_and_the_last_ones_otherwise(tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    best = carry_out(run_of("sgd", protocol={"length": 6}), a)
    last = carry_out(run_of("sgd", protocol={"length": 6, "checkpoint": "last"}), b)
    validation = [value for _, value in best.state.curve["validation/loss"]]
    assert best.scores["validation/loss"] == min(validation)
    assert last.scores["validation/loss"] == validation[-1]
    assert best.state.curve == last.state.curve
