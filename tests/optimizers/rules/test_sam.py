"""SAM: two evaluations, the second uphill; the step is the base's on the second gradient."""

import copy
import pickle

import pytest
import torch

from optathlon.optimizers.rules.sam import SAM, Sharpness


class SAMAdamW(Sharpness, torch.optim.AdamW):
    pass


def tensor(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def parameters(dtype=torch.float64):
    return [tensor(0, 4, 3, dtype=dtype).requires_grad_(), tensor(1, 3, dtype=dtype).requires_grad_()]


def loss_of(params):
    matrix, vector = params
    return ((matrix @ vector).sin() + matrix.square().sum(1)).square().sum()


def closure_of(optimizer, params, seen=None):
    def closure():
        optimizer.zero_grad()
        loss = loss_of(params)
        loss.backward()
        if seen is not None:
            seen.append([p.detach().clone() for p in params])
        return loss.detach()

    return closure


def gradients_at(points):
    points = [p.clone().requires_grad_() for p in points]
    return torch.autograd.grad(loss_of(points), points)


@pytest.mark.parametrize("adaptive", [False, True])
@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_its_steps_are_those_of_the_algorithm(adaptive, momentum):
    params = parameters()
    weights, buffers = [p.detach().clone() for p in params], [torch.zeros_like(p) for p in params]
    optimizer = SAM(params, lr=1e-2, momentum=momentum, weight_decay=0.1, rho=0.3, adaptive=adaptive)
    for _ in range(10):
        returned = optimizer.step(closure_of(optimizer, params))
        assert returned.item() == pytest.approx(loss_of(weights).item(), rel=1e-12)
        grads = gradients_at(weights)
        ways = [w.square() * g for w, g in zip(weights, grads, strict=True)] if adaptive else grads
        size = torch.cat([(w * g if adaptive else g).flatten() for w, g in zip(weights, grads, strict=True)]).norm()
        uphill = gradients_at([w + 0.3 * way / size for w, way in zip(weights, ways, strict=True)])
        for i, g in enumerate(uphill):
            buffers[i] = momentum * buffers[i] + g + 0.1 * weights[i]
            weights[i] = weights[i] - 1e-2 * buffers[i]
    for ours, literal in zip(params, weights, strict=True):
        torch.testing.assert_close(ours.detach(), literal, rtol=1e-12, atol=1e-12)


def test_it_takes_the_steps_of_pytorch_optimizer():
    theirs = pytest.importorskip("pytorch_optimizer").SAM
    ours, others = parameters(), parameters()
    sam = SAM(ours, lr=1e-2, momentum=0.9, rho=0.1)
    other = theirs(others, torch.optim.SGD, lr=1e-2, momentum=0.9, rho=0.1)
    for _ in range(10):
        sam.step(closure_of(sam, ours))
        closure_of(other, others)()
        other.step(closure_of(other, others))
    for a, b in zip(ours, others, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)  # its norm is taken in float32


def test_without_a_neighborhood_it_is_the_base():
    ours, theirs = parameters(), parameters()
    sam, adamw = SAMAdamW(ours, lr=0.1, rho=0.0), torch.optim.AdamW(theirs, lr=0.1)
    for _ in range(5):
        sam.step(closure_of(sam, ours))
        adamw.step(closure_of(adamw, theirs))
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_second_evaluation_is_rho_away_and_the_weights_come_back_bit_for_bit(dtype):
    params, seen = parameters(dtype), []
    before = [p.detach().clone() for p in params]
    optimizer = SAM(params, lr=0.0, rho=0.5)
    optimizer.step(closure_of(optimizer, params, seen))
    here, away = (torch.cat([p.double().flatten() for p in point]) for point in seen)
    assert (here - away).norm() == pytest.approx(0.5, rel=1e-9 if dtype == torch.float64 else 0.05)
    assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))


def test_it_climbs_the_other_way_where_it_maximizes():
    params, seen = parameters(), []
    optimizer = SAM(params, lr=1e-4, rho=0.1, maximize=True)
    before = loss_of(params).item()
    optimizer.step(closure_of(optimizer, params, seen))
    assert loss_of(seen[1]) < before < loss_of(params)


def test_a_failing_second_evaluation_leaves_the_weights_where_they_were():
    params, calls = parameters(), []
    before = [p.detach().clone() for p in params]
    optimizer = SAM(params, lr=0.1)
    whole = closure_of(optimizer, params)

    def closure():
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return whole()

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert all(torch.equal(a, b) for a, b in zip(params, before, strict=True))


def test_groups_have_radii_of_their_own_also_after_pickling_and_hooks_run_once():
    params, calls = parameters(), []
    optimizer = SAM([{"params": params[:1], "rho": 0.2}, {"params": params[1:]}], lr=0.1)
    assert [g["rho"] for g in optimizer.param_groups] == [0.2, 0.05]
    for copied in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        copied.add_param_group({"params": [torch.ones(2)]})
        assert copied.param_groups[-1]["rho"] == 0.05
    torch.optim.SGD([torch.ones(1)], lr=0.1)
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    optimizer.step(closure_of(optimizer, params))
    assert calls == [1]


def test_mistakes_are_told():
    with pytest.raises(RuntimeError, match="SAM needs a closure"):
        SAM([torch.ones(1)], lr=0.1).step()
    with pytest.raises(ValueError, match="Invalid rho: -1"):
        SAM([torch.ones(1)], lr=0.1, rho=-1.0)
    with pytest.raises(ValueError, match="Invalid rho: -1"):
        SAM([{"params": [torch.ones(1)], "rho": -1.0}], lr=0.1)


@pytest.mark.parametrize("adaptive", [False, True])
def test_complex_weights_climb_by_the_norm_of_both_their_parts(adaptive):
    start = torch.randn(4, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    weight, real = start.clone().requires_grad_(), torch.view_as_real(start).clone().requires_grad_()
    target = torch.randn(4, 3, dtype=torch.complex128, generator=torch.Generator().manual_seed(1))

    def take_a_step(param, as_complex):
        optimizer = SAM([param], lr=0.1, rho=0.5, adaptive=adaptive)

        def closure():
            optimizer.zero_grad()
            loss = (as_complex(param) - target).abs().pow(3).sum()
            loss.backward()
            return loss.detach()

        optimizer.step(closure)
        return torch.view_as_real(as_complex(param).detach())

    if adaptive:  # |w| of a complex weight is that of both parts: only its own formula can be the oracle
        scaled = start.abs() * torch.autograd.grad((weight - target).abs().pow(3).sum(), weight)[0]
        up = start + 0.5 * start.abs() * scaled / torch.view_as_real(scaled).norm()
        up = up.requires_grad_()
        grad = torch.autograd.grad((up - target).abs().pow(3).sum(), up)[0]
        expected = torch.view_as_real(start - 0.1 * grad)
    else:
        expected = take_a_step(real, torch.view_as_complex)
    torch.testing.assert_close(take_a_step(weight, lambda p: p), expected, rtol=1e-12, atol=1e-12)
