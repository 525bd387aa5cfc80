"""What of a run's checkpoints cannot be read is said and passed over: it goes on from what is whole, the same run."""

from __future__ import annotations

import hashlib
import json
import resource
from pathlib import Path

import msgspec
import pytest
import torch

from optathlon.suite.identity import Run
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.loop import train
from optathlon.suite.training.surroundings import Surroundings
from optathlon.suite.working.execute import build
from tests.suite.training.runs import attempt, carry_out, result, run_of, uninterrupted


def newest_sidecar(folder):
    return max(folder.glob("checkpoint-*.json"), key=lambda path: json.loads(path.read_bytes())["serial"])


def test_a_flipped_bit_falls_back_to_the_other_slot_and_says_so(tmp_path):
    run, warnings = run_of("adamw", "epochs"), []
    assert attempt(run, tmp_path, 4) is attempt(run, tmp_path, 4) is None
    newest = newest_sidecar(tmp_path).with_suffix(".pt")
    flip_a_bit(newest)
    outcome = carry_out(run, tmp_path, warn=warnings.append)
    assert result(outcome) == uninterrupted("adamw", "epochs")
    assert any(newest.name in line and "falling back" in line for line in warnings)


def test_a_sidecar_that_is_no_text_voids_its_slot(tmp_path):
    run = run_of("adamw", "epochs")
    assert attempt(run, tmp_path, 4) is attempt(run, tmp_path, 4) is None
    newest = newest_sidecar(tmp_path)
    newest.write_bytes(newest.read_bytes().replace(run.id.encode(), b"\xff" + run.id.encode()[1:]))
    assert result(carry_out(run, tmp_path)) == uninterrupted("adamw", "epochs")


def test_with_both_slots_damaged_the_run_starts_anew_and_says_so(tmp_path):
    run, warnings = run_of("adamw", "epochs"), []
    assert attempt(run, tmp_path, 4) is attempt(run, tmp_path, 4) is None
    for slot in tmp_path.glob("checkpoint-*.pt"):
        flip_a_bit(slot)
    assert result(carry_out(run, tmp_path, warn=warnings.append)) == uninterrupted("adamw", "epochs")
    assert "starting from the beginning" in warnings[-1]


def test_a_whole_checkpoint_of_another_shape_falls_back_like_a_damaged_one(tmp_path):
    """As another version of the task would leave it behind; also where something had been loaded before it was seen."""
    run, wider = run_of("adamw", "ema"), run_of("adamw", "ema", protocol={"settings": {"width": 9}})
    assert attempt(run, tmp_path, 4) is attempt(run, tmp_path, 4) is None
    (other := tmp_path / "other").mkdir()
    attempt(wider, other, 4)
    newest = newest_sidecar(tmp_path).with_suffix(".pt")
    put_in_place(run, next(other.glob("checkpoint-*.pt")), newest)
    told = []
    assert result(carry_out(run, tmp_path, warn=told.append)) == uninterrupted("adamw", "ema")
    assert any(newest.name in line and "does not fit" in line and "size mismatch" in line for line in told)


def test_where_no_checkpoint_fits_the_run_begins_anew(tmp_path):
    run, warnings = run_of("sgd", "ema"), []
    assert attempt(run, tmp_path, 4) is attempt(run, tmp_path, 4) is None
    for slot in tmp_path.glob("checkpoint-*.pt"):
        state = torch.load(slot)
        del state["summed"]
        torch.save(state, slot)
        put_in_place(run, slot, slot)
    assert result(carry_out(run, tmp_path, warn=warnings.append)) == uninterrupted("sgd", "ema")
    assert "starting from the beginning" in warnings[-1]
    assert sum("KeyError" in line for line in warnings) == 2


def put_in_place(run: Run, data: Path, slot: Path) -> None:
    """Make `data` what the slot holds, with a digest that says so."""
    slot.write_bytes(data.read_bytes())
    sidecar = msgspec.json.decode(slot.with_suffix(".json").read_bytes())
    sha256 = hashlib.sha256(slot.read_bytes()).hexdigest()
    changed = {**sidecar, "run": run.id, "sha256": sha256, "size": slot.stat().st_size}
    slot.with_suffix(".json").write_bytes(msgspec.json.encode(changed))


def test_a_checkpoint_names_no_best_weights_that_are_gone(tmp_path):
    """The attempt fails at once, and what it saved before is still there for the next."""
    run = run_of("sgd", "epochs")
    attempt(run, tmp_path, 20)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("checkpoint-*")}
    files = Checkpoints(tmp_path, run.id, print, attempt=2)
    state = files.load()
    assert state is not None
    (tmp_path / state["best"]["file"][0]).unlink()
    with pytest.raises(OSError, match=r"best-0002-\d+\.pt: the best weights so far are gone"):
        files.save(state, state["position"]["update"], state["best"]["file"])
    assert {path.name: path.read_bytes() for path in tmp_path.glob("checkpoint-*")} == before
    assert result(carry_out(run, tmp_path)) == uninterrupted("sgd", "epochs")


def test_checkpoints_as_earlier_versions_named_them_are_read(tmp_path):
    run = run_of("sgd", "epochs")
    attempt(run, tmp_path, 20)
    for path in tmp_path.iterdir():
        old = path.name.replace("-0001", "")
        if path.suffix == ".json":
            path.write_bytes(path.read_bytes().replace(b"best-0001-", b"best-"))
        path.rename(tmp_path / old)
    told = []
    assert result(carry_out(run, tmp_path, warn=told.append)) == uninterrupted("sgd", "epochs")
    assert told == []


def flip_a_bit(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_run_from_another_folder_is_not_taken_for_this_one(tmp_path):
    told = []
    attempt(run_of("adamw", "epochs", seed=6), tmp_path, 4)
    assert result(carry_out(run_of("adamw", "epochs"), tmp_path, warn=told.append)) == uninterrupted("adamw", "epochs")
    assert any("belongs to run" in line for line in told)


def test_damaged_best_weights_void_the_slots_that_refer_to_them(tmp_path):
    run, warnings = run_of("sgd", "epochs"), []
    attempt(run, tmp_path, 20)
    (best,) = tmp_path.glob("best-*.pt")
    flip_a_bit(best)
    assert result(carry_out(run, tmp_path, warn=warnings.append)) == uninterrupted("sgd", "epochs")
    assert any(best.name in line for line in warnings)


def test_a_full_disk_costs_a_checkpoint_and_not_the_run(tmp_path):
    """The kernel refuses files of more than 2 kB, of which torch has to say something else."""
    run, warnings = run_of("sgd", "ema"), []
    expected = uninterrupted("sgd", "ema")
    around = Surroundings(Checkpoints(tmp_path, run.id, warnings.append), interval=0.0)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2048, before[1]))
    try:
        outcome = train(run, build(run, tmp_path, torch.device("cpu"), 0), around)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert result(outcome) == expected
    assert len(warnings) > outcome.state.update
    assert all("File too large" in line for line in warnings)
    assert not list(tmp_path.iterdir())


def test_what_a_killed_save_left_is_removed(tmp_path):
    (tmp_path / ".checkpoint-a.pt.1234").write_text("half")
    carry_out(run_of("sgd"), tmp_path)
    assert not list(tmp_path.glob(".checkpoint*"))
