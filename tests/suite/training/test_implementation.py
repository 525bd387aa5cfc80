"""A run steps by the fastest implementation that takes the loop's steps; its id does not say which, its record does."""

from __future__ import annotations

import json

import pytest
import torch

from optathlon.optimizers.kernels import kernel_cache
from optathlon.results import Store
from optathlon.suite.identity import Run
from optathlon.suite.main import main
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand, run_of
from optathlon.suite.training.loop import chunks, update
from optathlon.suite.training.probes.sampled import norm
from optathlon.suite.training.state import State
from optathlon.suite.working.execute import build
from optathlon.tasks.verified_workload import micro_batches
from tests.miniatures import put_miniatures
from tests.suite.training.test_loop import run_of as run_of_toy

UPDATES = 20
KERNELS = {"sgd": "fused (torch)", "adamw": "fused (torch)", "sgdp": "fused (C++)", "adamp": "fused (C++)"}


def needs_kernels() -> None:
    if kernel_cache.load().library is None:
        pytest.skip("nothing compiles here")


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    """The quickstart's runs of seed 0 by task and optimizer, on miniatures."""
    needs_kernels()
    data = tmp_path_factory.mktemp("data")
    put_miniatures(data, "mnist", "ptb", "speech-commands")
    plan = expand(sweep_reader.load(sweep_reader.find("quickstart")), data)
    runs = [run_of(plan, planned) for planned in plan.runs if planned.seed == 0]
    return data, {(run.problem.task, run.setting.optimizer): run for run in runs}


def state_of(run: Run, data, implementation: str) -> State:
    return State(run, build(run, data, torch.device("cpu"), 0), implementation=implementation)


def train(state: State, after_each=lambda name: None) -> None:
    run, workload = state.run, state.workload
    while state.update < UPDATES:
        workload.start_epoch(state.epoch, state.batch > 0)
        for parts in chunks(micro_batches(workload, state.epoch, state.batch), run.protocol.micro_batches):
            means = {}
            for name in workload.players:
                means[name] = update(state, name, parts)
                after_each(name)
            state.advance(parts, means)
            if state.update == UPDATES or state.batch == 0:
                break


def assert_close(fast: State, loop: State) -> None:
    for name, net in fast.workload.players.items():
        for ours, theirs in zip(net.parameters(), loop.workload.players[name].parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KERNELS)
@pytest.mark.parametrize("task", ["biased-mnist-0.990", "ptb-awd-lstm", "speech-commands"])
def test_on_the_quickstart_kernels_step_every_weight_and_lead_where_the_loop_leads(quickstart, task, optimizer):
    """On the gradients of the loop's run, as training itself doubles each rounding: on speech-commands
    the last bit of one initial weight moves a weight by 0.5 within 20 updates of torch's plain SGD."""
    data, runs = quickstart
    fast, loop = (state_of(runs[task, optimizer], data, how) for how in ("auto", "loop"))

    def follow(name: str) -> None:
        pairs = zip(fast.workload.players[name].parameters(), loop.workload.players[name].parameters(), strict=True)
        for ours, theirs in pairs:
            ours.grad = None if theirs.grad is None else theirs.grad.clone()
        groups = zip(fast.optimizers[name].param_groups, loop.optimizers[name].param_groups, strict=True)
        for ours, theirs in groups:
            ours["lr"] = theirs["lr"]
        fast.optimizers[name].step()

    train(loop, follow)
    assert_close(fast, loop)
    for name, net in fast.workload.players.items():
        assert fast.implementations()[name] == {KERNELS[optimizer]: len(list(net.parameters()))}
        assert list(loop.implementations()[name]) == ["loop"]


IN_PROFILES = {
    "sgd": "aten::_fused_sgd_", "adamw": "aten::_fused_adamw_", "sgdp": "optathlon::sgdp_float32",
    "adamp": "optathlon::adamp_float32",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KERNELS)
@pytest.mark.parametrize("task", ["biased-mnist-0.990", "ptb-awd-lstm", "speech-commands"])
def test_on_the_quickstart_a_profile_shows_the_kernel_and_none_of_the_loop_s_arithmetic(quickstart, task, optimizer):
    data, runs = quickstart
    state = state_of(runs[task, optimizer], data, "auto")
    parts = next(chunks(micro_batches(state.workload, 0, 0), state.protocol.micro_batches))
    for name in state.workload.players:
        update(state, name, parts)  # the first step makes state
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
            state.optimizers[name].step()
        seen = {event.name for event in profile.events() or ()}
        assert IN_PROFILES[optimizer] in seen
        assert not any(word in name for name in seen for word in ("mul", "lerp", "addc", "sqrt", "div")), seen


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", KERNELS)
def test_a_whole_run_of_a_model_without_normalization_leads_where_the_loop_leads(quickstart, optimizer):
    data, runs = quickstart
    fast, loop = (state_of(runs["ptb-awd-lstm", optimizer], data, how) for how in ("auto", "loop"))
    train(fast)
    train(loop)
    assert_close(fast, loop)


@pytest.mark.parametrize("asked", ["auto", "loop"])
def test_a_record_says_how_its_run_was_asked_to_step_and_how_it_did(asked, tmp_path, capsys):
    needs_kernels()
    put_miniatures(data := tmp_path / "data", "ptb")
    words = ["ptb-awd-lstm", "adamp", "lr=5e-3", "weight_decay=0.0", "protocol.length=1", "--scale", "smoke"]
    words += ["--store", str(tmp_path / "store"), "--data", str(data), "--implementation", asked, "--json"]
    assert main(["run", *words]) == 0
    record = Store(tmp_path / "store").record(json.loads(capsys.readouterr().out)["record"]["id"])
    assert record is not None
    ran = {"auto": KERNELS["adamp"], "loop": "loop"}[asked]
    assert record.provenance["implementation"] == {"asked": asked, "ran": {"model": {ran: 10}}}


def test_a_run_that_goes_on_where_its_kernels_cannot_be_had_says_what_stepped_it_before(tmp_path, monkeypatch):
    """As on a machine without a compiler."""
    needs_kernels()
    run = run_of_toy("adamp", lr=1e-2)
    begun = State(run, build(run, tmp_path, torch.device("cpu"), 0))
    parts = list(micro_batches(begun.workload, 0, 0))[: run.protocol.micro_batches]

    def go_on(state: State) -> State:
        state.advance(parts, {"model": update(state, "model", parts)})
        return state

    saved = go_on(begun).state_dict()
    monkeypatch.setattr(kernel_cache, "load", lambda: kernel_cache.Kernels(None, "found no C++ compiler"))
    continued = State(run, build(run, tmp_path, torch.device("cpu"), 0))
    continued.load_state_dict(saved)
    fused, loop = go_on(continued).all_implementations()
    assert (set(fused["model"]), set(loop["model"])) == ({"fused (C++)"}, {"loop"})
    again = State(run, build(run, tmp_path, torch.device("cpu"), 0))
    again.load_state_dict(continued.state_dict())
    assert go_on(again).all_implementations() == [fused, loop], "each is told once"


def test_an_implementation_that_an_optimizer_of_a_sweep_has_not_is_refused_before_anything_is_written(tmp_path, capsys):
    words = ["ptb-awd-lstm", "nt_asgd", "lr=1.0", "--scale", "smoke", "--store", str(tmp_path / "store")]
    assert main(["run", *words, "--implementation", "fused"]) == 2
    assert "nt_asgd: has no fused implementation, only loop; auto suits all" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_complex_weights_count_with_both_parts_in_the_norms_that_are_recorded():
    weight = torch.tensor([3 + 4j], dtype=torch.complex64)
    assert norm([weight, torch.tensor([12.0])]) == 13.0
