"""What is laid over another optimizer's class takes back that class's own checkpoints, and those from before."""

import copy
import pickle

import pytest
import torch

from optathlon.optimizers.rules.lookahead import Lookahead
from optathlon.optimizers.rules.sam import SAM

MIXED = [(Lookahead, {"k": 3, "alpha": 0.25}, {"since", "judged"}), (SAM, {"rho": 0.2, "adaptive": True}, set())]


def stepped(optimizer, weight):
    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss.detach()

    optimizer.step(closure)
    return weight.detach().clone()


@pytest.mark.parametrize(("build", "options", "more"), MIXED)
@pytest.mark.parametrize("missing", ["all", "each"])
def test_a_checkpoint_without_the_mixin_s_options_is_continued_with_those_of_the_constructor(
    build, options, more, missing
):
    base_weight = torch.ones(3, requires_grad=True)
    base = torch.optim.SGD([base_weight], lr=0.1, momentum=0.9)
    stepped(base, base_weight)
    own = {*options, *more}
    for keys in [own] if missing == "all" else [{key} for key in own]:
        weight = torch.ones(3, requires_grad=True)
        optimizer = build([weight], lr=0.5, **options)
        saved = copy.deepcopy(base.state_dict() if missing == "all" else optimizer.state_dict())
        for key in keys:
            saved["param_groups"][0].pop(key, None)
        optimizer.load_state_dict(saved)
        group = optimizer.param_groups[0]
        assert {key: group[key] for key in options} == options
        assert group["lr"] == (0.1 if missing == "all" else 0.5)
        assert stepped(optimizer, weight).isfinite().all()


@pytest.mark.parametrize(("build", "options", "more"), MIXED)
def test_a_pickle_from_before_an_option_was_there_gets_its_default(build, options, more):
    weight = torch.ones(3, requires_grad=True)
    optimizer = build([weight], lr=0.1, **options)
    for key in options:
        del optimizer.param_groups[0][key]
    restored = pickle.loads(pickle.dumps(optimizer))
    assert {key: restored.param_groups[0][key] for key in options} == options
