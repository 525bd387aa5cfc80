"""SGDP and AdamP on all kinds of tensors: layouts, dtypes, gradients that are missing, bad or late."""

import copy
import math

import pytest
import torch
from torch import nn

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.sgdp import SGDP
from tests.optimizers.rules.projected import HOW, distance, gradients, start, train


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
def test_channels_last_weights_keep_their_layout_and_take_the_same_steps(how, optimizer_class, more):
    params = {"conv": start()["conv"]}
    last = {"conv": params["conv"].detach().clone(memory_format=torch.channels_last).requires_grad_()}
    for ps in (params, last):
        optimizer, generator = (
            optimizer_class(ps.values(), lr=1e-2, **how, **more),
            torch.Generator().manual_seed(0),
        )
        for _ in range(5):
            gradients(ps, generator)
            optimizer.step()
    assert last["conv"].is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(last["conv"], params["conv"], rtol=1e-12, atol=1e-12)


@HOW
@pytest.mark.parametrize(("optimizer_class", "more"), [(AdamP, {}), (SGDP, {"momentum": 0.9})])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_weights_have_full_precision_state_and_sums(how, optimizer_class, more, dtype):
    params, optimizer = train(optimizer_class, steps=10, dtype=dtype, lr=1e-2, **how, **more)
    full, _ = train(optimizer_class, steps=10, dtype=torch.float64, lr=1e-2, **more)
    assert distance(params, full) < 3e-2
    assert all(v.dtype == torch.float32 for s in optimizer.state.values() for v in s.values())
    assert {p.dtype for p in params.values()} == {dtype}
    restored = optimizer_class(list(params.values()), lr=1e-2)
    restored.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for param in params.values():
        for key, value in optimizer.state[param].items():
            assert restored.state[param][key].dtype == torch.float32
            assert torch.equal(restored.state[param][key], value), key


@HOW
def test_tiny_half_precision_gradients_leave_finite_weights(how):
    weight = torch.ones(4, 4, dtype=torch.float16, requires_grad=True)
    weight.grad = torch.full_like(weight, 1e-5)
    AdamP([weight], **how).step()
    assert weight.isfinite().all()


@HOW
def test_a_nan_costs_its_own_element_only(how):
    weight = torch.ones(2, 3, requires_grad=True)
    weight.grad = torch.tensor([[math.nan, 1.0, -1.0], [0.0, 1.0, -1.0]])
    AdamP([weight], **how).step()
    assert weight.isnan().tolist() == [[True, False, False], [False, False, False]]


@HOW
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_gradients_are_left_as_they_are_and_maximize_turns_them(how, optimizer_class):
    params, twins = start(), start()
    gradients(params, torch.Generator().manual_seed(0))
    for name, p in twins.items():
        p.grad = -params[name].grad
    kept = {n: p.grad.clone() for n, p in params.items()}
    optimizer_class(params.values(), lr=0.1, maximize=True, **how).step()
    optimizer_class(twins.values(), lr=0.1, **how).step()
    assert all(torch.equal(p.grad, kept[n]) for n, p in params.items())
    assert all(torch.equal(p, twins[n]) for n, p in params.items())


@HOW
@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_empty_frozen_and_mixed_parameters_live_in_one_group(how, optimizer_class):
    params = [
        torch.ones(0, 4),
        torch.ones(3, 4),
        torch.ones(3, 4, dtype=torch.float64),
        torch.ones(3, 4, dtype=torch.bfloat16),
        torch.ones(3, 4, dtype=torch.complex64),
    ]
    frozen = torch.ones(2, 2)
    for p in params:
        p.grad = torch.ones_like(p)
    optimizer_class([*params, frozen], lr=0.1, **how).step()
    assert all((p != 1).all() for p in params)
    assert torch.equal(frozen, torch.ones(2, 2))


@HOW
def test_a_complex_weight_steps_as_its_real_and_imaginary_parts_and_a_complex_vector_is_never_projected(how):
    matrix = torch.randn(3, 4, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    real = torch.view_as_real(matrix).clone().requires_grad_()
    matrix, vector = matrix.requires_grad_(), torch.ones(4, dtype=torch.complex128, requires_grad=True)
    optimizer, twin = AdamP([matrix, vector], lr=0.1, **how), AdamP([real], lr=0.1, **how)
    gradients({"conv": real}, torch.Generator().manual_seed(1))
    matrix.grad = torch.view_as_complex(real.grad.clone())
    vector.grad = vector.detach() * 1j
    optimizer.step()
    twin.step()
    assert torch.equal(torch.view_as_real(matrix.detach()), real.detach())
    assert optimizer.projections() == {"none": 0, "channel": 1, "layer": 0}


@pytest.mark.parametrize("optimizer_class", [AdamP, SGDP])
def test_sparse_gradients_are_refused(optimizer_class):
    net = nn.Embedding(4, 2, sparse=True)
    net(torch.tensor([1])).sum().backward()
    with pytest.raises(RuntimeError, match=f"{optimizer_class.__name__} does not support sparse gradients"):
        optimizer_class(net.parameters(), lr=0.1).step()


@HOW
def test_a_parameter_whose_gradient_comes_late_takes_its_own_first_step(how):
    early, late = (torch.ones(2, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    optimizer = AdamP([early, late], lr=0.1, **how, delta=0.0)
    for step in range(6):
        early.grad = torch.ones_like(early)
        late.grad = torch.ones_like(late) if step == 5 else None
        optimizer.step()
    torch.testing.assert_close(late.detach(), torch.full_like(late, 0.9))
