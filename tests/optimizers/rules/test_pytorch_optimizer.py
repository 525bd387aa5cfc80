"""What the package's optimizers are given here: copies, gradients left alone, bad gradients kept to their weights."""

import copy
import importlib.util
import pickle

import pytest
import torch

from optathlon.optimizers.catalog.pytorch_optimizer import MODERN
from optathlon.optimizers.registry import optimizer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("pytorch_optimizer") is None, reason="pytorch-optimizer is not installed"
)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def build(name, params, **values):
    spec = optimizer(name)
    return spec.build([{"params": params}], spec.resolve(values))


@pytest.mark.parametrize("name", [spec.name for spec in MODERN])
@pytest.mark.parametrize("how", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("foreach", [None, True])
def test_a_copy_steps_as_the_original(name, how, foreach):
    param = normal(3, 4).requires_grad_()
    original = build(name, [param])
    if "foreach" in original.param_groups[0]:
        original.param_groups[0]["foreach"] = foreach
    param.grad = normal(3, 4, seed=1)
    original.step()
    copied = how(original)
    (twin,) = copied.param_groups[0]["params"]
    for p, o in ((param, original), (twin, copied)):
        for seed in (2, 3):
            p.grad = normal(3, 4, seed=seed)
            o.step()
    assert twin is not param
    assert torch.equal(twin, param)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("adan", {"max_grad_norm": 0.1}),
        ("lars", {"weight_decay": 0.1}),
        ("schedule_free_sgd", {"weight_decay": 0.1}),
        ("schedule_free_adamw", {"weight_decay": 0.1}),
        ("shampoo", {"momentum": 0.9}),
        ("shampoo", {"weight_decay": 0.1}),
    ],
)
def test_gradients_are_left_as_they_are(name, values):
    param, grad = normal(3, 4).requires_grad_(), normal(3, 4, seed=1)
    stepped = build(name, [param], **values)
    for _ in range(3):
        param.grad = grad.clone()
        stepped.step()
        assert torch.equal(param.grad, grad)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_a_bad_gradient_costs_shampoo_its_own_weight_only(bad, decay):
    spoiled, two, empty = normal(3, 4).requires_grad_(), normal(3, 4, seed=1).requires_grad_(), torch.zeros(0, 4)
    stepped = build("shampoo", [spoiled, two, empty.requires_grad_()], weight_decay=decay)
    for step in range(4):
        spoiled.grad, two.grad, empty.grad = normal(3, 4, seed=2), normal(3, 4, seed=step), torch.zeros(0, 4)
        if step == 2:
            spoiled.grad[0, 1] = bad
        before = two.detach().clone()
        stepped.step()
        assert two.isfinite().all()
        assert not torch.equal(two, before)
        assert spoiled.isnan().all() == (step >= 2)
