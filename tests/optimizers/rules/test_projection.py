"""SGDP and AdamP: equal to the official package, and right where it is not."""

import functools
import math

import pytest
import torch

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.sgdp import SGDP
from tests.optimizers.rules.projected import HOW, distance, gradients, start, train


@functools.cache
def trained(optimizer_class, **options):
    """The weights that a training leads to, for several tests to compare theirs with."""
    return train(optimizer_class, **options)[0]


@HOW
@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("more", [{}, {"weight_decay": 0.1}, {"weight_decay": 0.1, "wd_ratio": 0.5, "delta": 0.3}])
def test_adamp_equals_the_official_package(how, nesterov, more):
    official = pytest.importorskip("adamp").AdamP
    options = {"lr": 1e-2, "nesterov": nesterov, **more}
    ours, optimizer = train(AdamP, **how, **options)
    theirs = trained(official, **options)
    assert distance(ours, theirs) < 1e-12
    views = {n: int(optimizer.state[p]["view"]) for n, p in ours.items() if "view" in optimizer.state[p]}
    assert views["conv"] == views["grouped"] == views["one_row"] == 1
    assert views["layer"] == views["transposed"] == 2
    assert views["free"] == 0
    assert optimizer.projections() == {
        v: list(views.values()).count(i) for i, v in enumerate(("none", "channel", "layer"))
    }


@HOW
@pytest.mark.parametrize(
    "options",
    [
        {"momentum": 0.9, "nesterov": True, "weight_decay": 1e-2},
        {"momentum": 0.9, "nesterov": True, "dampening": 0.1},
        {"momentum": 0.9, "project_buffer": True, "weight_decay": 1e-2},
        {"momentum": 0.0, "project_buffer": True, "wd_ratio": 0.3, "weight_decay": 1e-2},
    ],
)
def test_sgdp_equals_the_official_package(how, options):
    official = pytest.importorskip("adamp").SGDP
    ours, _ = train(SGDP, lr=1e-2, **how, **options)
    theirs = trained(official, lr=1e-2, **{k: v for k, v in options.items() if k != "project_buffer"})
    assert distance(ours, theirs) < 1e-12


def test_algorithm_1_is_not_what_the_official_package_does_to_its_momentum():
    literal, _ = train(SGDP, lr=1e-2, momentum=0.9)
    released, _ = train(SGDP, lr=1e-2, momentum=0.9, project_buffer=True)
    assert distance(literal, released) > 1e-2


@HOW
@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_adamp_that_never_projects_is_adamw(how, weight_decay):
    adamw = trained(torch.optim.AdamW, lr=1e-2, weight_decay=weight_decay)
    for never in ({"delta": 0.0}, {"projection": "off"}):
        ours, _ = train(AdamP, lr=1e-2, weight_decay=weight_decay, **how, **never)
        assert distance(ours, adamw) < 1e-12


@HOW
@pytest.mark.parametrize("nesterov", [False, True])
def test_sgdp_that_never_projects_is_sgd(how, nesterov):
    ours, _ = train(SGDP, lr=1e-2, momentum=0.9, nesterov=nesterov, delta=0.0, **how)
    theirs, _ = train(torch.optim.SGD, lr=1e-2, momentum=0.9, nesterov=nesterov)
    assert distance(ours, theirs) < 1e-12


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_a_projected_row_grows_by_the_square_of_its_step(how, optimizer_class, more):
    """Equation 12: |w'|^2 = |w|^2 + lr^2 |q|^2; w' - w is -lr q."""
    params = {"conv": start()["conv"]}
    optimizer = optimizer_class(params.values(), lr=0.1, **how, **more)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        before = params["conv"].detach().clone().flatten(1)
        gradients(params, generator)
        optimizer.step()
        after = params["conv"].detach().flatten(1)
        grown = before.square().sum(1) + (after - before).square().sum(1)
        torch.testing.assert_close(after.square().sum(1), grown, rtol=1e-8, atol=0)


@HOW
def test_one_row_over_the_limit_turns_the_channel_test_off_and_the_limit_itself_does_not_pass(how):
    def view(grad, **options):
        weight = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=torch.float64).requires_grad_()
        weight.grad = torch.tensor(grad, dtype=torch.float64)
        optimizer = AdamP([weight], **how, **options)
        optimizer.step()
        return int(optimizer.state[weight]["view"])

    assert view([[0.0, 1.0], [0.0, 1.0]]) == 1
    assert view([[0.5, 1.0], [-0.5, 1.0]]) == 2
    assert view([[0.5, 1.0], [0.5, 1.0]]) == 0
    assert view([[1.0, 0.0], [0.0, 0.0]], delta=math.sqrt(2)) == 2, "strictly below 1 / sqrt(2) by layer"
    assert view([[1.0, 0.0], [1.0, 0.0]], delta=math.sqrt(2)) == 0, "|cosine| 1 is not below sqrt(2) / sqrt(2)"
    assert view([[-1.0, 1.0], [-1.0, 1.0]]) == 0, "the cosine counts without its sign"
    assert view([[math.nan, 1.0], [0.0, 1.0]]) == 0
    assert view([[0.0, 0.0], [0.0, 0.0]]) == 1


@HOW
def test_zero_weights_and_zero_gradients_count_as_projected_for_the_decay(how):
    weight = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    weight.grad = torch.zeros_like(weight)
    AdamP([weight], lr=1.0, weight_decay=0.5, wd_ratio=0.1, **how).step()
    torch.testing.assert_close(weight.detach(), torch.full_like(weight, 0.95), rtol=0, atol=1e-15)


@HOW
def test_the_channel_of_a_transposed_convolution_is_named_by_its_group(how):
    weight = torch.randn(4, 6, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    twin = weight.transpose(0, 1).contiguous().requires_grad_()
    weight.requires_grad_()
    gradients({"conv": twin}, torch.Generator().manual_seed(1))
    weight.grad = twin.grad.transpose(0, 1).contiguous()
    optimizer = AdamP([{"params": [weight], "channel_dim": 1}], lr=0.1, **how)
    optimizer.step()
    AdamP([twin], lr=0.1, **how).step()
    assert optimizer.projections()["channel"] == 1
    torch.testing.assert_close(weight.detach(), twin.detach().transpose(0, 1), rtol=1e-13, atol=1e-15)


@HOW
def test_a_group_may_choose_its_view(how):
    def views(projection):
        _, optimizer = train(AdamP, steps=1, **how, projection=projection)
        return optimizer.projections()

    auto = views("auto")
    assert views("channel")["layer"] == 0
    assert views("channel")["channel"] == auto["channel"]
    assert views("layer")["channel"] == 0
    assert views("layer")["layer"] >= auto["layer"]
    assert views("off") == {"none": 0, "channel": 0, "layer": 0}
