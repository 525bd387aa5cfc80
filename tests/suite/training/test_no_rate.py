"""An optimizer without lr trains; what would scale its rate is said to do nothing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from optathlon.optimizers import OptimizerError
from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec
from optathlon.suite.training.parameter_groups import groups
from optathlon.suite.training.precision import set_rate
from tests.suite.stories import planned
from tests.suite.sweeps import SWEEP, optathlon, write

NO_RATE = """
import torch


class NoRate(torch.optim.Optimizer):
    def __init__(self, params, strength=0.02):
        super().__init__(params, {"strength": strength})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["strength"] * p.grad.sign())
"""
SPEC = OptimizerSpec(name="x", factory="x:X", hyperparameters={"strength": Hyperparameter("float", 0.1)})


def test_a_group_without_a_rate_is_left_as_it_is():
    group = {"params": [], "strength": 0.1}
    set_rate(group, 0.5)
    assert group == {"params": [], "strength": 0.1}


def test_a_protocols_scale_of_rates_passes_it_by_and_its_own_is_refused():
    net = nn.Linear(2, 2)
    (group,) = groups(net, {"weight": {"proxy"}, "bias": set()}, SPEC, {"proxy.lr_scale": 100.0}, {"strength": 0.1})
    assert [type(p) for p in group["params"]] == [torch.nn.Parameter] * 2
    with pytest.raises(OptimizerError, match=r"proxy.lr_scale: it has no lr that could be scaled"):
        SPEC.resolve({"proxy.lr_scale": 100.0})


def test_its_row_says_that_no_schedule_acts_on_it(tmp_path):
    (tmp_path / "norate.py").write_text(NO_RATE)
    plan = planned(tmp_path, SWEEP.replace('"sgd"\nfixed.lr = 0.1\nfixed.momentum = 0.9', '"norate:NoRate"'))
    notes = {row.name: row.notes for row in plan.head.rows}
    assert notes == {"norate:NoRate": ["has no lr: schedule and warm-up change nothing"], "adamw": []}


@pytest.mark.slow
def test_it_trains(tmp_path):
    write(tmp_path)
    (tmp_path / "norate.py").write_text(NO_RATE)
    done = optathlon(tmp_path, "run", "toy:TASK", "norate:NoRate", "--scale", "smoke")
    assert done.returncode == 0, done.stderr
    assert "test/accuracy" in done.stdout
