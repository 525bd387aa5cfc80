"""Groups of parameters follow their tags; the setting wins over the protocol."""

from __future__ import annotations

import pytest
import torch

from optathlon.suite.errors import UsageError
from optathlon.suite.identity import optimizer_of
from optathlon.suite.training.parameter_groups import groups


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
