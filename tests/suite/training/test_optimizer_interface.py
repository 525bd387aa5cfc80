"""What an optimizer may ask of the loop: closures, modes, evaluation weights, the end of each epoch."""

from __future__ import annotations

from typing import ClassVar

import torch

from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec
from tests.suite.training.runs import carry_out, result, run_of

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


def test_closures_are_called_as_often_as_the_optimizer_likes(tmp_path):
    (a := tmp_path / "a").mkdir()
    (b := tmp_path / "b").mkdir()
    run = run_of(f"{__name__}:LBFGS", protocol={"settings": {"samples": 56}}, lr=0.1)
    assert result(carry_out(run, a, stops=[1] * 40)) == result(carry_out(run, b))


def test_batch_norm_statistics_move_once_an_update_however_often_the_loss_is_looked_at(tmp_path):
    outcome = carry_out(run_of("sam", lr=0.1), tmp_path)
    norm = outcome.state.workload.players["model"][1]
    assert int(norm.num_batches_tracked) == 2 * outcome.state.update  # two micro-batches an update
