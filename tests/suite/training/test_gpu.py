"""What only a GPU can show of training: exact resumption, loss scaling, no waits, shared GPUs, NCCL.

OPTATHLON_TEST_DEVICE=cpu tries what a CPU has of it. Run by `pytest -m gpu`, and by the GPU kit (docs/gpu-kit.md).
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from optathlon.results import Store
from optathlon.suite.errors import Preempted
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.evaluation import Outcome
from optathlon.suite.training.loop import train, update
from optathlon.suite.training.state import State
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.working.execute import build
from optathlon.tasks.verified_workload import micro_batches
from tests.suite.sweeps import environment, optathlon, write
from tests.suite.training.runs import run_of

DEVICE = os.environ.get("OPTATHLON_TEST_DEVICE", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"),
]
only_cuda = pytest.mark.skipif(DEVICE != "cuda", reason="is about CUDA")


@pytest.fixture
def deterministic(monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def carried_out(run, folder: Path, stops=()) -> Outcome:
    """To its end, in attempts that are stopped after so many updates each, and a last one that is not."""
    folder.mkdir()
    for updates in (*stops, None):
        left = iter(range(updates or 10**9))
        around = Surroundings(
            Checkpoints(folder, run.id, print), stop=lambda left=left, n=updates: n is not None and next(left) >= n - 1
        )
        try:
            return train(run, build(run, folder, torch.device(DEVICE), 0), around)
        except Preempted:
            continue
    raise AssertionError("the last attempt was stopped")


@pytest.mark.parametrize("precision", ["fp32", "bf16", pytest.param("fp16", marks=only_cuda)])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adamp"])
def test_a_stopped_run_ends_as_an_uninterrupted_one_bit_for_bit(optimizer, precision, tmp_path, deterministic):
    run = run_of(optimizer, protocol={"precision": precision})
    whole, stopped = carried_out(run, tmp_path / "a"), carried_out(run, tmp_path / "b", stops=(2, 5, 1))
    assert whole.scores == stopped.scores
    assert whole.state.curve == stopped.state.curve
    for a, b in zip(whole.state.players[0].parameters(), stopped.state.players[0].parameters(), strict=True):
        assert torch.equal(a, b)
    scale = next(iter(whole.state.scalers.values())).state_dict()
    assert scale == next(iter(stopped.state.scalers.values())).state_dict()


@only_cuda
@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "adamp"])
def test_an_update_does_not_wait_for_the_device(optimizer, tmp_path):
    run = run_of(optimizer)
    state = State(run, build(run, tmp_path, torch.device(DEVICE), 0))
    state.sample_at = -1  # norms are read at borders, which may wait
    parts = list(micro_batches(state.workload, 0, 0))[: run.protocol.micro_batches]
    update(state, "model", parts)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        update(state, "model", parts)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_two_runs_share_one_device(tmp_path):
    write(tmp_path)
    done = optathlon(tmp_path, "launch", "sweep.toml", "--slots", "2")
    assert done.returncode == 0, done.stderr
    records = Store(tmp_path / "store").records()
    assert len(records) == 4
    assert {record.provenance["machine"]["device"].partition(":")[0] for record in records} == {DEVICE}


def test_one_process_of_a_team_is_the_run_alone(tmp_path):
    """Under torchrun, on a GPU over NCCL."""
    write(tmp_path)
    words = ["run", "toy:TASK", "adamp", "lr=1e-2", "--scale", "smoke", "--device", DEVICE]
    alone = optathlon(tmp_path, *words, "--store", "alone")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "1"]
    team = subprocess.run(
        [*launcher, "-m", "optathlon", *words, "--store", "team"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (alone.returncode, team.returncode) == (0, 0), alone.stderr + team.stderr
    (one,), (other,) = (Store(tmp_path / name).records() for name in ("alone", "team"))
    assert one.scores == other.scores
