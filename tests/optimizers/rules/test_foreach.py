"""Foreach implementations of the optimizers that have no kernels: on the CPU the loop's steps, bit for bit."""

import pytest
import torch
from torch.optim._muon import _zeropower_via_newtonschulz

from optathlon.optimizers.rules.adam_sgd import AdamSGD
from optathlon.optimizers.rules.muon import Muon, zeropowers
from optathlon.optimizers.rules.rmsprop_tf import RMSpropTF
from optathlon.optimizers.rules.soap import SOAP

BUILDS = [
    (RMSpropTF, {"weight_decay": 0.1}),
    (RMSpropTF, {"momentum": 0.0, "maximize": True}),
    (AdamSGD, {"weight_decay": 0.1, "switch": 2}),
    (Muon, {}),
    (Muon, {"nesterov": False, "adjust_lr_fn": "original", "weight_decay": 0.0}),
    (Muon, {"matrix": False, "maximize": True}),
    (SOAP, {"precondition_frequency": 3}),
    (SOAP, {"merge_dims": True, "weight_decay": 0.0, "max_precondition_dim": 6, "maximize": True}),
]
SHAPES = ((6, 4), (4, 6), (6, 4), (5,), (), (4, 3, 2, 2), (1, 7))


def params(build):
    generator = torch.Generator().manual_seed(0)
    dtypes = (torch.float32, torch.float64, torch.bfloat16)
    made = [torch.randn(shape, generator=generator).to(dtype) for dtype in dtypes for shape in SHAPES]
    made.append(torch.randn(4, 3, 2, 2, generator=generator).to(memory_format=torch.channels_last))
    made.append(torch.randn(8, 6, generator=generator)[:, ::2].t())
    if build in (RMSpropTF, AdamSGD):
        made.append(torch.randn(3, 2, dtype=torch.complex64, generator=generator))
    return [p.requires_grad_() for p in made]


def ends(build, foreach, lr=0.01, **options):
    """Weights and states after six steps; every other one leaves a gradient out, each is an epoch."""
    weights = params(build)
    optimizer = build(weights, lr=lr, foreach=foreach, **options)
    generator = torch.Generator().manual_seed(1)
    for epoch in range(6):
        for i, p in enumerate(weights):
            grad = torch.randn(p.shape, generator=generator, dtype=torch.promote_types(p.dtype, torch.float32))
            p.grad = None if epoch % 2 and i % 3 == 0 else grad.to(p.dtype)
        optimizer.step()
        if build is AdamSGD:
            optimizer.epoch_end(epoch)
    return weights, [optimizer.state[p] for p in weights]


@pytest.mark.parametrize("lr", [0.01, torch.tensor(0.01)], ids=["number", "tensor"])
@pytest.mark.parametrize(("build", "options"), BUILDS)
def test_foreach_takes_the_loop_s_steps_bit_for_bit(build, options, lr):
    (loop, loop_states), (many, many_states) = (ends(build, on, lr, **options) for on in (False, True))
    for a, b, own, other in zip(loop, many, loop_states, many_states, strict=True):
        assert torch.equal(a, b)
        assert own.keys() == other.keys()
        assert all(torch.equal(own[key], other[key]) for key in own)


@pytest.mark.parametrize("shape", [(4, 6, 8), (3, 8, 6), (2, 5, 5), (1, 1, 7)])
def test_a_batch_of_matrices_is_made_orthogonal_as_each_alone(shape):
    matrices, constants = torch.randn(shape, generator=torch.Generator().manual_seed(0)), ((3.4445, -4.775, 2.0315), 5)
    alone = torch.stack([_zeropower_via_newtonschulz(matrix, *constants, 1e-7) for matrix in matrices])
    torch.testing.assert_close(zeropowers(matrices, *constants, 1e-7), alone, rtol=2e-2, atol=2e-2)
    assert torch.equal(zeropowers(torch.zeros(shape), *constants, 1e-7), torch.zeros(shape, dtype=torch.bfloat16))
