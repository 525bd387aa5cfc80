"""An optimizer is built in the fastest implementation that takes the loop's steps, unless another is asked for."""

import copy
import inspect

import pytest
import torch

from optathlon.optimizers import OptimizerError, names, optimizer
from optathlon.optimizers.implementation import in_use
from optathlon.optimizers.kernels import kernel_cache
from optathlon.optimizers.spec import load

HYPERPARAMETERS = {"lr": 0.1}


def weights(**options):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator).to(**options).requires_grad_() for s in ((6, 4), (5, 3, 2, 2), (7,))]


def build(name, params, implementation="auto"):
    spec = optimizer(name)
    return spec.build([{"params": params}], spec.resolve(HYPERPARAMETERS), implementation)


def step(built, params, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for param in params:
        param.grad = torch.randn(param.shape, generator=generator).to(param.dtype)
    built.step()


@pytest.mark.parametrize("name", names())
def test_the_catalog_declares_what_each_class_offers(name):
    if name in ("lion", "lamb", "lars", "adan", "adabelief", "prodigy", "shampoo") or "schedule_free" in name:
        pytest.importorskip("pytorch_optimizer")
    spec = optimizer(name)
    arguments = inspect.signature(load(spec.factory)).parameters
    assert spec.implementations == ("loop", *(how for how in ("foreach", "fused") if how in arguments))


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lookahead"])
def test_auto_takes_torch_s_fused_kernels(name):
    params = weights()
    built = build(name, params)
    step(built, params)
    assert in_use(built) == {"fused (torch)": 3}


@pytest.mark.parametrize("name", ["sgdp", "adamp", "adarem", "adarem_s"])
def test_auto_takes_our_fused_kernels(name):
    if kernel_cache.load().library is None:
        pytest.skip("nothing compiles here")
    params = weights()
    built = build(name, params)
    step(built, params)
    assert in_use(built) == {"fused (C++)": 3}


@pytest.mark.parametrize("name", ["rmsprop", "adabound", "soap", "nt_asgd"])
def test_auto_takes_the_loop_on_the_cpu_where_there_are_no_kernels(name):
    params = weights()
    built = build(name, params)
    step(built, params)
    assert in_use(built) == {"loop": 3}


ODD = {
    "half precision": lambda: [torch.ones(3, 2, dtype=torch.bfloat16)],
    "complex": lambda: [torch.ones(3, 2, dtype=torch.complex64)],
    "with gaps": lambda: [torch.ones(3, 4)[:, ::2]],
    "one odd among many": lambda: [torch.ones(3), torch.ones(3, dtype=torch.float16)],
}


@pytest.mark.parametrize("kind", ODD.values(), ids=ODD)
def test_torch_s_kernels_are_left_alone_where_they_step_otherwise_than_the_loop(kind):
    params = [p.requires_grad_() for p in kind()]
    built = build("sgd", params)
    step(built, params)
    assert in_use(built) == {"loop": len(params)}


GRADIENTS = {
    "sparse": lambda: torch.ones(3, 4).to_sparse(),
    "laid out otherwise": lambda: torch.arange(12.0).view(4, 3).t(),
    "a lazy negative": lambda: torch.ops.aten._neg_view(torch.ones(3, 4)),
}


@pytest.mark.parametrize("gradient", GRADIENTS.values(), ids=GRADIENTS)
def test_torch_s_kernels_are_left_at_the_first_gradient_that_they_would_read_wrongly(gradient):
    params = {how: torch.linspace(-1, 1, 12).view(3, 4).requires_grad_() for how in ("auto", "loop")}
    for how, param in params.items():
        built = build("sgd", [param], how)
        for _ in range(2):
            param.grad = gradient()
            built.step()
        assert in_use(built) == {"loop": 1}
    assert torch.equal(*params.values())


@pytest.mark.parametrize("name", ["sgd", "adamw", "sgdp", "adamp", "adarem"])
@pytest.mark.parametrize("implementation", ["loop", "foreach", "fused"])
def test_what_is_asked_for_runs_and_takes_the_loop_s_steps(name, implementation):
    if implementation == "fused" and kernel_cache.load().library is None:
        pytest.skip("nothing compiles here")
    ends = []
    for how in (implementation, "loop"):
        params = weights(dtype=torch.float64)
        built = build(name, params, how)
        for i in range(5):
            step(built, params, seed=i)
        assert all(label.startswith(how) for label in in_use(built))
        ends.append(params)
    for ours, loop in zip(*ends, strict=True):
        torch.testing.assert_close(ours, loop, rtol=1e-12, atol=1e-12)


def test_an_implementation_that_an_optimizer_has_not_is_refused_before_anything_is_built():
    with pytest.raises(OptimizerError, match=r"nt_asgd: has no fused implementation, only loop; auto suits all"):
        optimizer("nt_asgd").check_implementation("fused")
    with pytest.raises(OptimizerError, match=r"unknown implementation 'fuse'.*did you mean fused"):
        optimizer("sgd").check_implementation("fuse")


@pytest.mark.parametrize("name", ["sgd", "adamw", "lookahead", "adamp"])
@pytest.mark.parametrize(("first", "then"), [("loop", "fused"), ("fused", "loop")])
def test_a_restored_optimizer_goes_on_in_the_implementation_of_its_run(name, first, then):
    params = weights()
    built = build(name, params, first)
    step(built, params)
    twins = [p.detach().clone().requires_grad_() for p in params]
    restored = build(name, twins, then)
    restored.load_state_dict(copy.deepcopy(built.state_dict()))
    for optimizer_, own in ((built, params), (restored, twins)):
        step(optimizer_, own, seed=1)
    assert in_use(restored) == in_use(built)
    assert all(torch.equal(a, b) for a, b in zip(params, twins, strict=True))


@pytest.mark.parametrize("gradient", GRADIENTS.values(), ids=GRADIENTS)
def test_a_restored_optimizer_leaves_kernels_where_its_run_would_have(gradient):
    """Though it was built to step by the loop."""
    param = torch.linspace(-1, 1, 12).view(3, 4).requires_grad_()
    begun = build("sgd", [param])
    twin = param.detach().clone().requires_grad_()
    restored = build("sgd", [twin], "loop")
    restored.load_state_dict(copy.deepcopy(begun.state_dict()))
    assert in_use(restored) == {"fused (torch)": 1}
    for built, own in ((begun, param), (restored, twin)):
        own.grad = gradient()
        built.step()
    assert torch.equal(param, twin)
    assert in_use(restored) == in_use(begun) == {"loop": 1}


def test_a_gradient_scaler_skips_the_whole_step_of_an_optimizer_laid_over_fused_kernels():
    params = [torch.ones(3, requires_grad=True)]
    built = build("lookahead", params)
    assert in_use(built) == {"fused (torch)": 1}
    scaler = torch.amp.GradScaler("cpu")
    scaler.scale(params[0].sum()).backward()
    params[0].grad = torch.full_like(params[0], torch.inf)
    scaler.step(built)
    assert torch.equal(params[0], torch.ones(3))
    assert built.param_groups[0]["since"] == 0, "a step that was none has not been counted"


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_weights_that_get_gradients_later_than_others_are_stepped_as_by_the_loop(momentum):
    """As a backbone that is frozen at first; torch's fused SGD raises a TypeError there."""
    ends = []
    for how in ("auto", "loop"):
        params = weights()
        spec = optimizer("sgd")
        built = spec.build([{"params": params}], spec.resolve({"lr": 0.1, "momentum": momentum}), how)
        for number in range(6):
            for place, param in enumerate(params):
                param.grad = torch.full_like(param, 0.1 * (number + 1)) if number >= 2 * place else None
            built.step()
        ends.append([param.detach() for param in params])
        if how == "auto":
            assert in_use(built) == {"fused (torch)": 3}
    for ours, literal in zip(*ends, strict=True):
        torch.testing.assert_close(ours, literal)
