"""Stopped anywhere and continued, a run is the same run: weights, scores and curve, bit for bit."""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import random
import resource
import tempfile
from pathlib import Path
from typing import ClassVar

import msgspec
import pytest
import torch

from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec
from optathlon.suite.errors import Preempted, UsageError
from optathlon.suite.identity import Problem, Run, Setting, optimizer_of, task_of
from optathlon.suite.probes import PROBES
from optathlon.suite.training.checkpoint import Checkpoints
from optathlon.suite.training.evaluation import Outcome
from optathlon.suite.training.loop import train
from optathlon.suite.training.parameter_groups import groups
from optathlon.suite.training.surroundings import Fenced, Surroundings
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working.execute import build
from tests.suite.sweeps import HERE

look_beside(HERE)
OPTIMIZERS = {"sgd": {"lr": 0.1, "momentum": 0.9}, "adamw": {"lr": 1e-2}, "adamp": {"lr": 1e-2}}


def run_of(optimizer="sgd", variant=None, seed=5, task="toy:TASK", protocol=None, **hyperparameters) -> Run:
    import toy

    spec, described = optimizer_of(optimizer), task_of(task)
    resolved = described.protocol("smoke").override(toy.VARIANTS.get(variant, {})).override(protocol or {})
    problem = Problem(task=task, version=described.version, scale="smoke", data={}, protocol=resolved)
    values = spec.resolve(hyperparameters or OPTIMIZERS.get(optimizer, {}))
    return Run(
        problem=problem, setting=Setting(optimizer=optimizer, version=spec.version, hyperparameters=values), seed=seed
    )


def attempt(run: Run, folder: Path, updates: int | None = None, workers=0, warn=lambda _: None) -> Outcome | None:
    """One attempt: to the end, or None if it was stopped after so many updates."""
    asked = itertools.count(1)
    around = Surroundings(
        Checkpoints(folder, run.id, warn), stop=lambda: updates is not None and next(asked) >= updates
    )
    try:
        return train(run, build(run, folder, torch.device("cpu"), workers), around)
    except Preempted:
        return None


def carry_out(run: Run, folder: Path, stops=(), **how) -> Outcome:
    """To its end, in attempts that are stopped after so many updates each, and a last one that is not."""
    for updates in (*stops, None):
        if outcome := attempt(run, folder, updates, **how):
            return outcome
    raise AssertionError("the last attempt was stopped")


def result(outcome: Outcome):
    return outcome.weights, outcome.scores, outcome.state.curve, outcome.status


@functools.cache
def uninterrupted(optimizer, variant):
    with tempfile.TemporaryDirectory() as folder:
        return result(carry_out(run_of(optimizer, variant), Path(folder)))


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


def test_norms_are_always_recorded(tmp_path):
    curve = carry_out(run_of(), tmp_path).state.curve
    assert len(curve["model/weight_norm"]) == len(curve["model/effective_step"]) == 3
    assert all(value > 0 for _, value in curve["model/effective_step"])


def test_probes_of_the_setting_are_recorded_and_change_no_weight(tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    watched = with_probes(run_of("adamp"), *PROBES)
    plain, probed = carry_out(run_of("adamp"), a), carry_out(watched, b)
    assert plain.scores == probed.scores
    extra = probed.state.curve.keys() - plain.state.curve.keys()
    assert {name.split("/")[1] for name in extra if name.count("/") == 1} == {
        "gradient_norm", "projected_share", "update_ratio", "angular_update", "oscillation", "oscillation_median",
        "trajectory", "trajectory_path",
    }  # fmt: skip
    assert {"model/detection/others/0.1", "model/gradient_cosine/others", "model/0/weight_norm"} <= extra
    assert watched.id != run_of("adamp").id


@pytest.mark.parametrize("optimizer", ["sgd", "adamp", "lookahead", "sam"])
def test_probed_runs_resume_exactly(optimizer, tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    values = OPTIMIZERS.get(optimizer, {"lr": 0.1})
    run = with_probes(run_of(optimizer, **values), "oscillation", "gradient_norm", "update_ratio")
    assert carry_out(run, a).state.curve == carry_out(run, b, stops=(2, 3, 1)).state.curve


def with_probes(run: Run, *names: str) -> Run:
    return msgspec.structs.replace(run, setting=msgspec.structs.replace(run.setting, probes=sorted(names)))


LBFGS = OptimizerSpec(
    name="lbfgs-here",
    factory="torch.optim:LBFGS",
    flags=frozenset({"closure", "one_group"}),
    hyperparameters={"lr": Hyperparameter("float", 1.0), "max_iter": Hyperparameter("int", 4)},
    version=1,
)


class WithHooks(torch.optim.SGD):
    """Offers what an optimizer may offer: an epoch's end, and other weights for evaluation."""

    seen: ClassVar[list] = []

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

    def epoch_end(self, epoch, score):
        type(self).seen.append((epoch, score))

    def eval(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(3.0)

    def train(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.data.mul_(1 / 3)


def test_an_optimizers_evaluation_weights_leave_no_trace_and_its_epochs_end_once(tmp_path):
    WithHooks.seen.clear()
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    name = f"{__name__}:WithHooks"
    hooked = carry_out(run_of(name, protocol={"checkpoint": "last"}, lr=0.1), a, stops=[2, 2, 2, 2])
    plain = carry_out(run_of("sgd", protocol={"checkpoint": "last"}, lr=0.1), b)
    assert [epoch for epoch, _ in WithHooks.seen] == [0, 1, 2]
    assert [-score for _, score in WithHooks.seen] == [v for _, v in hooked.state.curve["validation/loss"]]
    assert hooked.state.curve["train/loss"] == plain.state.curve["train/loss"]
    assert hooked.state.curve["validation/loss"] != plain.state.curve["validation/loss"]


class RefusesUntilTrained(torch.optim.SGD):
    """As Schedule-Free optimizers: a step before train() is an error."""

    ready = False

    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)

    def eval(self):
        self.ready = False

    def train(self):
        self.ready = True

    def step(self, closure=None):
        assert self.ready, "not in train mode"
        return super().step(closure)


def test_an_optimizer_with_modes_is_told_to_train_before_its_first_step(tmp_path):
    name = f"{__name__}:RefusesUntilTrained"
    assert carry_out(run_of(name, lr=0.1), tmp_path, stops=[3, 3]).status == "finished"


def test_what_a_killed_save_left_is_removed(tmp_path):
    (tmp_path / ".checkpoint-a.pt.1234").write_text("half")
    carry_out(run_of("sgd"), tmp_path)
    assert not list(tmp_path.glob(".checkpoint*"))


def test_closures_are_called_as_often_as_the_optimizer_likes(tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    run = run_of(f"{__name__}:LBFGS", lr=0.1)
    assert result(carry_out(run, a, stops=[1] * 40)) == result(carry_out(run, b))


def test_batch_norm_statistics_move_once_an_update_however_often_the_loss_is_looked_at(tmp_path):
    outcome = carry_out(run_of("sam", lr=0.1), tmp_path)
    norm = outcome.state.workload.players["model"][1]
    assert int(norm.num_batches_tracked) == 2 * outcome.state.update  # two micro-batches an update


def test_tags_that_contradict_each_other_are_refused():
    net = torch.nn.Linear(2, 2)
    spec = optimizer_of("sgd")
    options = {"norm.weight_decay": 0.1, "bias.weight_decay": 0.0}
    tags = {"weight": set(), "bias": {"norm", "bias"}}
    with pytest.raises(UsageError, match=r"bias: norm\.weight_decay = 0\.1 contradicts bias\.weight_decay = 0\.0"):
        groups(net, tags, spec, {}, spec.resolve(options))


def test_groups_follow_tags_and_the_setting_wins_over_the_protocol():
    net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.BatchNorm1d(2))
    tags = {"0.weight": set(), "0.bias": {"bias"}, "1.weight": {"norm"}, "1.bias": {"norm", "bias"}}
    spec = optimizer_of("sgd")
    protocol = {"norm.weight_decay": 0.5, "bias.lr_scale": 2.0, "gain.projection": "off"}
    made = groups(net, tags, spec, protocol, spec.resolve({"lr": 0.1, "norm.weight_decay": 0.0}))
    options = [{k: v for k, v in g.items() if k != "params"} for g in made]
    assert options == [{}, {"lr": 0.2}, {"weight_decay": 0.0}, {"weight_decay": 0.0, "lr": 0.2}]
    assert sum(len(g["params"]) for g in made) == 4
