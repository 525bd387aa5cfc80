"""Averaged weights may be judged with batch statistics that they were given themselves; nothing else changes by it."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import torch

from optathlon import tasks
from optathlon.suite.identity import digest
from optathlon.suite.training.seeds import seed
from optathlon.tasks import TaskError
from tests.suite.ranks import attempt, close
from tests.suite.training.runs import carry_out, result, run_of

FRESH = {"ema": 0.9, "checkpoint": "last", "fresh_statistics": 4}


def statistics(outcome):
    weights = outcome.state.workload.players["model"].state_dict()
    return {name: value.clone() for name, value in weights.items() if "running" in name}


def given_to_batch_norm(outcome, batches):
    """What the network's batch norm is given in training mode, for each of so many micro-batches of the first epoch."""
    workload, seen = outcome.state.workload, []
    net = workload.players["model"].train()
    hook = net[1].register_forward_hook(lambda layer, given, _: seen.append(given[0].detach()))
    for batch in itertools.islice(workload.batches(0), batches):
        seed(workload.device, outcome.state.run.seed, "statistics", batch.index, "model")
        workload.loss(batch, "model")
    hook.remove()
    return seen


def test_statistics_are_the_mean_over_the_first_micro_batches_and_training_goes_on_as_ever(tmp_path):
    usual = carry_out(run_of("sgd", protocol={**FRESH, "fresh_statistics": 1}), tmp_path / "usual")
    fresh = carry_out(run_of("sgd", protocol=FRESH), tmp_path / "fresh")
    assert fresh.scores != usual.scores
    assert fresh.state.curve["train/loss"] == usual.state.curve["train/loss"]
    running = statistics(fresh)
    with fresh.state.evaluation_weights():
        judged = statistics(fresh)
        inputs = given_to_batch_norm(fresh, 4)
    assert torch.allclose(judged["1.running_mean"], torch.stack([x.mean(0) for x in inputs]).mean(0), atol=1e-6)
    assert torch.allclose(judged["1.running_var"], torch.stack([x.var(0) for x in inputs]).mean(0), atol=1e-6)
    assert all(torch.equal(running[name], value) for name, value in statistics(fresh).items())


def test_weights_that_are_no_averages_are_judged_as_ever(tmp_path):
    last = {"checkpoint": "last"}
    usual = carry_out(run_of("sgd", protocol=last), tmp_path / "usual")
    fresh = carry_out(run_of("sgd", protocol={**last, "fresh_statistics": 4}), tmp_path / "fresh")
    assert (fresh.scores, fresh.weights) == (usual.scores, usual.weights)


@pytest.mark.slow
@pytest.mark.parametrize("checkpoint", ["last", "best"])
def test_runs_with_fresh_statistics_resume_exactly(checkpoint, tmp_path):
    run = run_of("sgd", protocol={**FRESH, "checkpoint": checkpoint})
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    whole = result(carry_out(run, tmp_path / "whole"))
    assert result(carry_out(run, tmp_path / "stopped", stops=(1, 8, 7))) == whole


@pytest.mark.slow
def test_two_processes_measure_what_one_does(tmp_path):
    from tests.suite.training.test_several_processes import run_of as shared_run

    run = shared_run("sgd", protocol={**FRESH, "micro_batch": 4})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    close(attempt(run, tmp_path / "two", 2)[0], attempt(run, tmp_path / "one", 1)[0])


def test_the_setting_is_part_of_an_id_only_where_it_is_given():
    protocol = tasks.task("cifar10-l2").protocol("paper")
    assert "fresh_statistics" not in msgspec.to_builtins(protocol)
    given = protocol.override({"fresh_statistics": 200})
    assert msgspec.to_builtins(given)["fresh_statistics"] == 200
    assert digest(given) != digest(protocol)
    for wrong in (0, -1, 1.5, "all", None):
        with pytest.raises(TaskError, match="fresh_statistics"):
            protocol.override({"fresh_statistics": wrong})
    with pytest.raises(TaskError, match="did you mean fresh_statistics"):
        protocol.override({"fresh_statistic": 3})
