"""Every implementation of AdamP, SGDP and AdaRem takes the steps of the papers' formulas."""

import numpy as np
import pytest
import torch

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.sgdp import SGDP
from tests.optimizers.rules import reference

SHAPES = ((6, 4, 3, 3), (5, 20), (3, 4), (1, 7), (9,))
HOW = pytest.mark.parametrize(
    "how", [{"foreach": False}, {"foreach": True}, {"fused": True}], ids=["single", "foreach", "fused"]
)
CASES = [
    (AdamP, reference.adamp, {"lr": 1e-2, "weight_decay": 0.1}),
    (AdamP, reference.adamp, {"lr": 1e-1, "weight_decay": 0.1, "wd_ratio": 0.5, "delta": 0.3}),
    (SGDP, reference.sgdp, {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.1}),
    (AdaRem, reference.adarem, {"lr": 1e-1, "beta": 0.9, "lam": 0.95, "weight_decay": 0.1}),
]


def orthogonal(grad, weight, kind):
    """By channel, as a whole, or as drawn."""
    rows = {0: weight.shape[0], 1: 1}.get(kind)
    if rows is None or weight.ndim < 2:
        return grad
    w, g = weight.reshape(rows, -1), grad.reshape(rows, -1)
    return (g - (g * w).sum(1, keepdims=True) / (w * w).sum(1, keepdims=True) * w).reshape(weight.shape)


@HOW
@pytest.mark.parametrize(("build", "literal", "options"), CASES)
@pytest.mark.parametrize("shape", SHAPES)
def test_steps_are_the_papers(how, build, literal, options, shape):
    chance = np.random.default_rng(0)
    start = chance.standard_normal(shape)
    grads = [orthogonal(chance.standard_normal(shape), start, i % 3) for i in range(12)]
    param = torch.tensor(start, requires_grad=True)
    optimizer = build([param], **options, **how)
    for i, grad in enumerate(grads):
        param.grad = torch.tensor(grad)
        optimizer.step()
        if build is AdaRem:
            optimizer.epoch_end(i)
    np.testing.assert_allclose(param.detach().numpy(), literal(start, grads, **options), rtol=1e-12, atol=1e-13)


def test_the_reference_takes_all_three_branches():
    chance = np.random.default_rng(0)
    weight, grad = chance.standard_normal((2, 4, 6))
    taken = []
    for kind in (0, 1, 2):
        update, found = reference.projected(weight, orthogonal(grad, weight, kind) + (kind == 2) * weight, grad)
        taken.append((found, np.abs((update * weight).sum(1)).max() < 1e-7, abs((update * weight).sum()) < 1e-7))
    assert taken == [(True, True, True), (True, False, True), (False, False, False)]
