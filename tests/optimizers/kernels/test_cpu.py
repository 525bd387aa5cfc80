"""The compiled CPU kernels: the same steps as the plain implementation, however many threads."""

import copy
import os
import subprocess
import sys
import textwrap

import pytest
import torch

from optathlon.optimizers.kernels import cpu, kernel_cache
from optathlon.optimizers.kernels.scale_invariance import VIEWS
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.sgdp import SGDP

BUILDS = [
    (AdamP, {"weight_decay": 0.1}),
    (AdamP, {"nesterov": True}),
    (SGDP, {"momentum": 0.9, "weight_decay": 0.1}),
    (SGDP, {"momentum": 0.9, "project_buffer": True}),
    (SGDP, {"momentum": 0.9, "nesterov": True}),
    (AdaRem, {"beta": 0.9, "weight_decay": 0.1}),
    (AdaRem, {"beta": 0.9, "eps_mode": "relative", "global_max": True, "maximize": True}),
    (AdaRemS, {"beta": 0.9, "sphere": True}),
]
EACH = pytest.mark.parametrize(("build", "options"), BUILDS)


@pytest.fixture
def compiled():
    if kernel_cache.load().library is None:
        pytest.skip("nothing compiles here")


def train(build, steps=5, dtype=torch.float32, shapes=((300, 400), (64, 16, 3, 3), (70000,)), **options):
    generator = torch.Generator().manual_seed(0)
    params = [torch.randn(s, generator=generator).to(dtype).requires_grad_() for s in shapes]
    optimizer = build(params, lr=1e-2, **options)
    for _ in range(steps):
        for i, p in enumerate(params):
            g = torch.randn(p.shape, generator=generator).to(dtype)
            if i == 0:
                w = p.detach()
                g = g - (g * w).sum(1, keepdim=True) / (w * w).sum(1, keepdim=True) * w
            p.grad = g
        optimizer.step()
    return params, optimizer


@EACH
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_kernels_take_the_plain_implementation_s_steps(compiled, build, options, dtype):
    ours, optimizer = train(build, dtype=dtype, fused=True, **options)
    plain, plain_optimizer = train(build, dtype=dtype, **options)
    tolerance = {torch.float32: 2e-6, torch.float64: 1e-13}[dtype]
    for a, b in zip(ours, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
        for key, value in plain_optimizer.state[b].items():
            torch.testing.assert_close(optimizer.state[a][key], value, rtol=tolerance, atol=tolerance)
    if build in (AdamP, SGDP):
        assert optimizer.projections()["channel"] >= 1


@EACH
def test_the_number_of_threads_changes_no_bit(compiled, build, options):
    before, ends = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            ends.append(train(build, fused=True, **options)[0])
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize(("build", "options"), [each for each in BUILDS if each[0] in (AdamP, SGDP)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(6, 700), (40, 3, 3, 3), (300, 9), (50, 1), (2, 5000)])
def test_rows_that_went_ahead_under_the_view_of_the_step_before_are_corrected(compiled, build, options, dtype, shape):
    """Each view after each other; a row without weight and one without gradient among them."""
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)
    start[1] *= 1e-20
    pair = [start.clone().requires_grad_() for _ in range(2)]
    ours, plain = (build([p], lr=1e-2, fused=on, **options) for p, on in zip(pair, (True, False), strict=True))
    chosen_views = []
    for view in ["none", "channel", "layer", "none", "layer", "channel", "channel", "none", "none"]:
        w = pair[1].detach().double()
        g = torch.randn(shape, generator=generator, dtype=torch.float64)
        if view == "channel":
            rows = w.flatten(1)
            g -= ((g * w).flatten(1).sum(1) / rows.square().sum(1)).view(-1, *[1] * (w.ndim - 1)) * w
        elif view == "layer":
            g[0] += w[0]
            g -= (g * w).sum() / w.square().sum() * w
        else:
            g += w
        g[0] = 0 if view == "channel" else g[0]
        for p in pair:
            p.grad = g.to(dtype)
        ours.step()
        plain.step()
        assert ours.projections() == plain.projections()
        chosen_views += [name for name, count in ours.projections().items() if count]
        with torch.no_grad():
            tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
            torch.testing.assert_close(*pair, rtol=tolerance, atol=tolerance)
            pair[0].copy_(pair[1])  # one step at a time: what lies beside 1e-20 is all rounding
    if shape != (50, 1):
        assert set(chosen_views) == {"none", "channel", "layer"}


@pytest.mark.parametrize(("build", "options"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
@pytest.mark.parametrize("shape", [(6, 40), (6, 700), (3, 3000)])
@pytest.mark.parametrize("now", ["channel", "layer"])
@pytest.mark.parametrize("before", ["none", "channel"])
@pytest.mark.parametrize("size", [1e-4, 1e-7, 0.0])
def test_a_weight_much_shorter_than_its_step_is_not_lost_in_it(compiled, build, options, shape, now, before, size):
    """A large step along the weights, after one under another view; the projection leaves nothing of its length."""
    start = size * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    if size:
        start[0] *= 1e3
    along = start / start.norm().clamp_min(1e-30)
    grad = torch.randn(shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if now == "channel":
        grad -= (grad * along).sum(1, keepdim=True) / along.square().sum(1, keepdim=True).clamp_min(1e-60) * along
    else:
        grad[0] += 5 * along[0]
        grad -= (grad * along).sum() * along

    def step(dtype, fused):
        weight = start.to(dtype, copy=True).requires_grad_()
        optimizer = build([weight], lr=0.1, fused=fused, **options)
        optimizer.state[weight]["view"] = torch.tensor(float(VIEWS[before]), dtype=dtype)
        if build is AdamP:
            state = {"step": torch.tensor(5.0), "exp_avg": 3 * along, "exp_avg_sq": torch.ones_like(along)}
        else:
            state = {"momentum_buffer": 3 * along}
        optimizer.state[weight] |= {k: v if k == "step" else v.to(dtype) for k, v in state.items()}
        weight.grad = grad.to(dtype)
        optimizer.step()
        return weight.detach(), optimizer.projections()

    exact, views = step(torch.float64, fused=False)
    ours, seen = step(torch.float32, fused=True)
    assert seen == views
    torch.testing.assert_close(ours.double(), exact, rtol=0, atol=1e-6 * exact.abs().max().item())


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
@pytest.mark.parametrize(("build", "options"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
@pytest.mark.parametrize("length", [5, 600])
def test_a_bad_element_costs_itself_only_even_where_a_projection_was_expected(compiled, build, options, bad, length):
    weight = torch.randn(4, length, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = build([weight], lr=0.1, fused=True, **options)
    for step in range(2):
        w = weight.detach()
        grad = torch.randn(4, length, generator=torch.Generator().manual_seed(step + 1))
        weight.grad = grad - (grad * w).sum(1, keepdim=True) / w.square().sum(1, keepdim=True) * w
        if step == 1:
            assert optimizer.projections()["channel"] == 1
            weight.grad[2, 3] = bad
        optimizer.step()
    assert optimizer.projections()["none"] == 1
    assert (~weight.isfinite()).nonzero().tolist() == [[2, 3]]


def test_what_the_kernels_cannot_take_is_left_to_the_plain_implementation(compiled):
    base = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    params = {
        "dense": base.clone(),
        "channels_last": torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last),
        "transposed": base.clone().t(),
        "strided": base.clone()[:, ::2],
        "half": base.bfloat16(),
        "empty": torch.zeros(0, 3),
    }
    dims = [tuple(range(1, p.ndim)) for p in params.values()]
    taken = dict(zip(params, cpu.takes(list(params.values()), dims), strict=True))
    assert taken == {
        "dense": True,
        "channels_last": True,
        "transposed": False,
        "strided": False,
        "half": False,
        "empty": True,
    }
    assert cpu.takes([params["dense"]], [(0,)]) == [False], "rows along another dimension"
    other_layout = base.t().contiguous().t()
    assert cpu.takes([params["dense"]], [None], [other_layout]) == [False], "another layout of state"
    for p in params.values():
        p.grad = torch.ones_like(p)
    before = {name: p.clone() for name, p in params.items()}
    AdamP(params.values(), lr=0.1, fused=True).step()
    assert all(not torch.equal(p, before[n]) for n, p in params.items() if p.numel())


def test_gradients_of_another_layout_are_read_right(compiled):
    weight = torch.randn(8, 4, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    twin = weight.detach().clone().requires_grad_()
    grad = torch.randn(8, 4, 3, 3)
    weight.grad, twin.grad = grad, grad.clone()
    AdamP([weight], lr=0.1, fused=True).step()
    AdamP([twin], lr=0.1).step()
    torch.testing.assert_close(weight, twin)


@pytest.mark.slow
@pytest.mark.parametrize("build", [AdamP, SGDP, AdaRem])
def test_dtypes_of_one_group_are_kept_apart_under_torch_compile_too(compiled, build):
    """There torch's own grouping puts all tensors into one part."""
    ends = []
    for compile_ in (False, True):
        dtypes = (torch.float32, torch.float64, torch.bfloat16)
        weights = [torch.linspace(-1, 1, 12, dtype=dtype).view(3, 4).requires_grad_() for dtype in dtypes]
        optimizer = build(weights, lr=0.1, fused=True)
        step = torch.compile(lambda o=optimizer: o.step(), backend="eager") if compile_ else optimizer.step
        for i in range(3):
            for p in weights:
                p.grad = torch.arange(12).add(i).sin().view(3, 4).to(p.dtype)
            step()
        ends.append(weights)
    assert all(torch.equal(a, b) for a, b in zip(*ends, strict=True))


@pytest.mark.parametrize("build", [AdamP, SGDP, AdaRem])
@pytest.mark.parametrize("kind", ["another dtype", "a lazy negative"])
def test_gradients_of_another_kind_are_read_right(compiled, build, kind):
    ends = []
    for implementation in (True, False):
        weight = torch.randn(4, 300, generator=torch.Generator().manual_seed(0)).requires_grad_()
        grad = torch.randn(4, 300, generator=torch.Generator().manual_seed(1))
        if kind == "another dtype":
            weight.grad_dtype, grad = torch.bfloat16, grad.bfloat16()
        else:
            grad = torch.ops.aten._neg_view(grad)
        weight.grad = grad
        build([weight], lr=0.1, fused=implementation).step()
        ends.append(weight.detach())
    torch.testing.assert_close(*ends)


def test_autograd_notices_that_the_weights_were_written_to(compiled):
    weight = torch.ones(3, 3, requires_grad=True)
    loss = (weight**2).sum()
    weight.grad = torch.ones(3, 3)
    AdamP([weight], fused=True).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_nan_in_the_momentum_reaches_its_largest_magnitude(compiled):
    weight = torch.ones(5000, requires_grad=True)
    weight.grad = torch.ones(5000)
    weight.grad[3000] = float("nan")
    optimizer = AdaRem([weight], lr=0.1, fused=True)
    optimizer.step()
    assert optimizer.state[weight]["largest"].isnan()
    assert weight.isnan().sum() == 1


def test_two_implementations_at_once_are_refused():
    for build in (AdamP, SGDP):
        with pytest.raises(RuntimeError, match="`foreach`, `fused` cannot be True together"):
            build([torch.ones(2)], lr=0.1, foreach=True, fused=True)
        with pytest.raises(RuntimeError, match="`fused`, `differentiable`"):
            build([torch.ones(2)], lr=0.1, differentiable=True, fused=True)


@pytest.mark.slow
def test_kernels_work_in_a_forked_child_after_the_parent_used_them(compiled):
    """The suite's worker forks a child a run."""
    code = textwrap.dedent(
        """
        import os, torch
        from optathlon.optimizers.rules.adamp import AdamP
        torch.set_num_threads(1)
        def step():
            p = torch.ones(400, 400, requires_grad=True)
            p.grad = torch.ones_like(p)
            AdamP([p], fused=True).step()
        step()
        child = os.fork()
        if child == 0:
            step()
            os._exit(7)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        """
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=os.environ)
    assert done.stdout.strip() == "7", done.stderr


@pytest.mark.parametrize("build", [AdamP, SGDP])
def test_a_view_that_a_checkpoint_of_float64_weights_brings_is_taken_over(compiled, build):
    source = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    optimizer = build([source], lr=0.1)
    along = source.detach()
    grad = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    source.grad = grad - (grad * along).sum(1, keepdim=True) / along.square().sum(1, keepdim=True) * along
    optimizer.step()
    assert optimizer.projections()["channel"] == 1
    weight = source.detach().float().requires_grad_()
    restored = build([weight], lr=0.1, fused=True)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    restored.param_groups[0]["fused"] = True
    for p, each in ((source, optimizer), (weight, restored)):
        p.grad = torch.ones_like(p)
        each.step()
    torch.testing.assert_close(weight.double(), source, rtol=1e-5, atol=1e-6)
    assert restored.state[weight]["view"].dtype == torch.float32
    assert restored.projections() == optimizer.projections()
