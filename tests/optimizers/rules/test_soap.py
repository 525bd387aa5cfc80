"""SOAP: against its algorithm in NumPy and the package's; tensors of any number of dimensions; exact checkpoints."""

import copy
import math

import numpy as np
import pytest
import torch

from optathlon.optimizers.rules.soap import SOAP
from tests.optimizers.rules import reference


def tensor(seed, *shape, dtype=torch.float64):
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def train(param, grads, build=SOAP, **options):
    param = param.clone().requires_grad_()
    optimizer = build([param], **options)
    for grad in grads:
        param.grad = grad.clone()
        optimizer.step()
    return param.detach(), optimizer


@pytest.mark.parametrize("options", [{}, {"weight_decay": 0.1, "frequency": 3}, {"beta1": 0.9, "beta2": 0.99}])
def test_its_steps_are_those_of_the_algorithm(options):
    grads = [tensor(i + 1, 5, 5) for i in range(25)]
    ours, _ = train(
        tensor(0, 5, 5),
        grads,
        lr=1e-2,
        betas=(options.get("beta1", 0.95), options.get("beta2", 0.95)),
        weight_decay=options.get("weight_decay", 0.0),
        precondition_frequency=options.get("frequency", 10),
    )
    literal = reference.soap(tensor(0, 5, 5).numpy(), [g.numpy() for g in grads], lr=1e-2, **options)
    np.testing.assert_allclose(ours.numpy(), literal, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(6, 4), (5, 3, 2, 2), (7,)])
def test_it_takes_the_steps_of_pytorch_optimizer(shape):
    theirs = pytest.importorskip("pytorch_optimizer").SOAP
    grads = [tensor(i + 1, *shape, dtype=torch.float32) for i in range(25)]
    options = {"lr": 1e-2, "weight_decay": 0.1, "precondition_frequency": 4}
    ours, _ = train(tensor(0, *shape, dtype=torch.float32), grads, **options)
    other, _ = train(tensor(0, *shape, dtype=torch.float32), grads, theirs, **options)
    torch.testing.assert_close(ours, other, rtol=1e-4, atol=1e-4)


def test_the_first_gradient_moves_nothing_and_one_that_comes_late_neither():
    early, late = tensor(0, 3, 4).requires_grad_(), tensor(1, 3, 4).requires_grad_()
    before = early.detach().clone(), late.detach().clone()
    optimizer = SOAP([early, late], lr=0.1, precondition_frequency=2)
    for step in range(5):
        early.grad, late.grad = tensor(step + 2, 3, 4), tensor(step + 9, 3, 4) if step == 4 else None
        optimizer.step()
        assert torch.equal(early, before[0]) == (step == 0)
    assert torch.equal(late, before[1])


def test_the_basis_diagonalizes_what_it_has_seen():
    """Of gradients that differ by a few directions only, orthogonal iteration finds the eigenbasis."""
    spread = tensor(0, 5, 5) @ torch.diag(10.0 ** -torch.arange(5, dtype=torch.float64))
    _, optimizer = train(tensor(1, 5, 5), [spread @ tensor(i, 5, 5) for i in range(60)], precondition_frequency=1)
    (state,) = optimizer.state.values()
    basis = state["basis_0"]
    rotated = basis.T @ state["covariance_0"] @ basis
    torch.testing.assert_close(basis.T @ basis, torch.eye(5, dtype=torch.float64), rtol=0, atol=1e-12)
    largest = rotated.diagonal().outer(rotated.diagonal()).abs().sqrt()
    assert (rotated - rotated.diagonal().diag()).abs().lt(0.5 * largest).all()
    assert (rotated.diagonal().diff() < 0).all()


def test_dimensions_are_rotated_apart_or_as_one_matrix_and_long_ones_not_at_all():
    def covariances(shape, **options):
        _, optimizer = train(tensor(0, *shape), [tensor(i, *shape) for i in range(3)], **options)
        (state,) = optimizer.state.values()
        return {key: tuple(value.shape) for key, value in state.items() if key.startswith("covariance")}

    assert covariances((4, 3, 2, 2)) == {f"covariance_{i}": (n, n) for i, n in enumerate((4, 3, 2, 2))}
    assert covariances((4, 3, 2, 2), merge_dims=True) == {"covariance_0": (4, 4), "covariance_1": (12, 12)}
    assert covariances((4, 3), max_precondition_dim=3) == {"covariance_1": (3, 3)}
    assert covariances((4,)) == covariances(()) == {}


def test_a_merged_kernel_takes_the_steps_of_its_matrix():
    grads = [tensor(i + 1, 4, 3, 2, 2) for i in range(12)]
    kernel, _ = train(tensor(0, 4, 3, 2, 2), grads, merge_dims=True)
    matrix, _ = train(tensor(0, 4, 3, 2, 2).flatten(1), [g.flatten(1) for g in grads])
    assert torch.equal(kernel.flatten(1), matrix)


@pytest.mark.parametrize("merge_dims", [False, True])
def test_the_layout_of_weights_and_gradients_changes_no_bit(merge_dims):
    """It would change a lot: rounding decides where directions without a gradient so far lie, and Adam magnifies it."""
    start, grads = tensor(0, 6, 4, 3, 3), [tensor(i + 1, 6, 4, 3, 3) for i in range(4)]
    ours, _ = train(start, grads, lr=0.01, merge_dims=merge_dims)
    last = [t.to(memory_format=torch.channels_last) for t in (start, *grads)]
    for weight, given in ((last[0], last[1:]), (start, last[1:])):
        assert torch.equal(train(weight, given, lr=0.01, merge_dims=merge_dims)[0], ours)


def test_vectors_take_adam_from_their_second_gradient_on():
    grads = [tensor(i + 1, 5) for i in range(6)]
    ours, _ = train(tensor(0, 5), grads, weight_decay=0.0, lr=0.1, eps=1e-30)
    adam, _ = train(tensor(0, 5), grads[1:], torch.optim.Adam, betas=(0.95, 0.95), lr=0.1, eps=1e-30)
    torch.testing.assert_close(ours, adam, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_restored_optimizer_goes_on_bit_for_bit_with_its_state_in_full_precision(dtype):
    param = tensor(0, 4, 3, dtype=dtype).requires_grad_()
    twin = param.detach().clone().requires_grad_()
    whole, broken = SOAP([param], precondition_frequency=2), SOAP([twin], precondition_frequency=2)
    for i in range(7):
        saved = copy.deepcopy(broken.state_dict())
        broken = SOAP([twin], precondition_frequency=2)
        broken.load_state_dict(saved)
        for p, o in ((param, whole), (twin, broken)):
            p.grad = tensor(i + 1, 4, 3, dtype=dtype)
            o.step()
        assert torch.equal(param, twin)
        assert {value.dtype for value in broken.state[twin].values()} == {torch.float32}


def test_a_gradient_that_is_not_finite_is_not_an_error():
    for bad in (0, 3):
        grads = [tensor(i + 1, 4, 3) for i in range(6)]
        grads[bad][0, 0] = math.nan
        param, _ = train(tensor(0, 4, 3), grads, precondition_frequency=2)
        assert param.isnan().any()


def test_what_has_no_covariance_is_refused():
    with pytest.raises(ValueError, match="complex"):
        SOAP([torch.ones(2, 2, dtype=torch.complex64)])
    with pytest.raises(ValueError, match="Invalid precondition_frequency: 0"):
        SOAP([torch.ones(2, 2)], precondition_frequency=0)
