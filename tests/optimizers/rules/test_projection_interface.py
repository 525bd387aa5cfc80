"""SGDP and AdamP as torch's optimizers: arguments, closures, checkpoints, capture and differentiation."""

import copy

import pytest
import torch

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.sgdp import SGDP
from tests.optimizers.rules.projected import HOW, distance, gradients, start, train


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_a_step_at_rate_zero_moves_nothing_but_makes_the_state(how, optimizer_class, more):
    params = start()
    before = {n: p.detach().clone() for n, p in params.items()}
    optimizer = optimizer_class(params.values(), lr=0.0, weight_decay=0.1, **how, **more)
    gradients(params, torch.Generator().manual_seed(0))
    optimizer.step()
    assert all(torch.equal(p, before[n]) for n, p in params.items())
    assert len(optimizer.state) == len(params)


@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_a_closure_runs_with_gradients_even_where_there_are_none(optimizer_class):
    weight = torch.ones(2, 2, requires_grad=True)
    optimizer = optimizer_class([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    with torch.no_grad():
        assert optimizer.step(closure) == 4.0
    assert (weight < 1).all()


@pytest.mark.parametrize(
    ("optimizer_class", "options", "words"),
    [
        (AdamP, {"lr": -1.0}, "Invalid learning rate: -1.0"),
        (AdamP, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0"),
        (AdamP, {"eps": -1.0}, "Invalid eps"),
        (AdamP, {"weight_decay": -1.0}, "Invalid weight_decay"),
        (AdamP, {"delta": -0.1}, "Invalid delta"),
        (AdamP, {"projection": "of"}, "Invalid projection: 'of'"),
        (AdamP, {"channel_dim": 2}, "Invalid channel_dim: 2"),
        (AdamP, {"lr": torch.tensor(0.1), "foreach": True}, "lr as a Tensor"),
        (SGDP, {"lr": 0.1, "momentum": 1.0}, "Invalid momentum: 1.0"),
        (SGDP, {"lr": 0.1, "wd_ratio": -1.0}, "Invalid wd_ratio"),
    ],
)
def test_arguments_out_of_range_are_refused(optimizer_class, options, words):
    with pytest.raises(ValueError, match=words):
        optimizer_class([torch.ones(2, 2, requires_grad=True)], **options)


@HOW
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_a_rate_may_be_a_tensor(how, optimizer_class):
    ours, _ = train(optimizer_class, lr=torch.tensor(0.01), steps=5, **how, capturable="foreach" in how)
    theirs, _ = train(optimizer_class, lr=torch.tensor(0.01).item(), steps=5)
    assert distance(ours, theirs) < 1e-6


@pytest.mark.parametrize("how", [{"foreach": False}, {"foreach": True}], ids=["single", "foreach"])
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_capturable_asks_the_device_nothing(how, optimizer_class):
    params = start()
    gradients(params, torch.Generator().manual_seed(0))
    optimizer = optimizer_class(params.values(), lr=0.01, **how, capturable=True)
    optimizer.step()
    from torch.utils._python_dispatch import TorchDispatchMode

    class Refuse(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            assert "_local_scalar_dense" not in str(func), func
            return func(*args, **(kwargs or {}))

    with Refuse():
        optimizer.step()


@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_a_differentiable_step_can_be_differentiated(optimizer_class):
    start_, grad = torch.randn(2, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()
    grad = grad - (grad * start_).sum(1, keepdim=True) / start_.square().sum(1, keepdim=True) * start_

    def stepped(weight):
        moved = weight.clone()
        moved.grad = grad
        optimizer_class([moved], lr=0.1, weight_decay=0.1, differentiable=True).step()
        return moved

    assert torch.autograd.gradcheck(stepped, start_.clone().requires_grad_())


@pytest.mark.parametrize(
    ("ours", "name", "more"), [(AdamP, "AdamP", {}), (SGDP, "SGDP", {"momentum": 0.9, "nesterov": True})]
)
def test_checkpoints_of_the_official_package_load(ours, name, more):
    official = getattr(pytest.importorskip("adamp"), name)
    theirs, source = train(official, steps=5, lr=1e-2, **more)
    params = {n: p.detach().clone().requires_grad_() for n, p in theirs.items()}
    optimizer = ours(params.values(), lr=1.0)
    optimizer.load_state_dict(copy.deepcopy(source.state_dict()))
    for ps, o in ((theirs, source), (params, optimizer)):
        generator = torch.Generator().manual_seed(2)
        for _ in range(5):
            gradients(ps, generator)
            o.step()
    assert distance(params, theirs) < 1e-12


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_a_restored_optimizer_goes_on_bit_for_bit(how, optimizer_class, more):
    whole, _ = train(optimizer_class, steps=6, lr=1e-2, **how, **more)
    params = start()
    generator = torch.Generator().manual_seed(1)
    optimizer = optimizer_class(params.values(), lr=1e-2, **how, **more)
    for _ in range(6):
        saved = copy.deepcopy(optimizer.state_dict())
        optimizer = optimizer_class(params.values(), lr=1e-2, **how, **more)
        optimizer.load_state_dict(saved)
        gradients(params, generator)
        optimizer.step()
    assert all(torch.equal(p, whole[n]) for n, p in params.items())


@pytest.mark.slow
def test_the_capturable_foreach_step_compiles_as_one_graph():
    """Around the graph breaks by which torch's optimizers keep the gradient mode out of it."""

    def ends(compiled):
        params = {name: p for name, p in start().items() if name in ("conv", "layer", "bias")}
        optimizer = AdamP(params.values(), lr=torch.tensor(1e-2), weight_decay=0.1, foreach=True, capturable=True)
        bare = AdamP.step.__wrapped__.__wrapped__
        step = torch.compile(lambda: bare(optimizer), fullgraph=True) if compiled else optimizer.step
        generator = torch.Generator().manual_seed(1)
        for _ in range(3):
            gradients(params, generator)
            with torch.no_grad():
                step()
        return params, optimizer.projections()

    (eager, views), (compiled, compiled_views) = ends(False), ends(True)
    assert distance(compiled, eager) < 1e-12
    assert compiled_views == views
    assert views["channel"] > 0
