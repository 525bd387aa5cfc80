"""What only a GPU can show of the update rules. OPTATHLON_TEST_DEVICE=cpu tries what a CPU has of it.

Run by `pytest -m gpu`, and by the GPU kit (docs/gpu-kit.md).
"""

from __future__ import annotations

import os

import pytest
import torch

from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.sgdp import SGDP

DEVICE = os.environ.get("OPTATHLON_TEST_DEVICE", "cuda")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU"),
]
only_cuda = pytest.mark.skipif(DEVICE != "cuda", reason="is about CUDA")
SHAPES = [(64, 32, 3, 3), (300, 2000), (7,), (1, 12), (5, 1, 1, 3), (33, 17), (1,), (0, 4)]
MANY = [(8, 5, 3, 3), (8,)] * 150
RULES = {
    "adamp": (AdamP, {"lr": 1e-2, "weight_decay": 0.1}),
    "sgdp": (SGDP, {"lr": 1e-2, "momentum": 0.9, "weight_decay": 0.1}),
    "adarem": (AdaRem, {"lr": 1e-2, "beta": 0.9, "weight_decay": 0.1}),
}


def weights(shapes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(s, generator=generator).to(DEVICE, dtype).requires_grad_() for s in shapes]


def stepped(name, shapes, dtype=torch.float32, steps=5, **how):
    rule, options = RULES[name]
    params, generator = weights(shapes, dtype), torch.Generator().manual_seed(1)
    optimizer = rule(params, **options, **how)
    for _ in range(steps):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator).to(DEVICE, dtype)
        optimizer.step()
    return params


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("shapes", [SHAPES, MANY], ids=["odd", "many"])
@pytest.mark.parametrize("name", RULES)
def test_fused_is_the_loop(name, shapes, dtype):
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    for a, b in zip(stepped(name, shapes, dtype, fused=True), stepped(name, shapes, dtype, foreach=False), strict=True):
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@only_cuda
def test_a_rate_that_is_a_tensor_gives_the_same_steps():
    plain = stepped("adamp", SHAPES, capturable=True, fused=True)
    rule, options = RULES["adamp"]
    params, generator = weights(SHAPES), torch.Generator().manual_seed(1)
    rate = torch.tensor(options["lr"], device=DEVICE)
    optimizer = rule(params, **options | {"lr": rate}, capturable=True, fused=True)
    for _ in range(5):
        for p in params:
            p.grad = torch.randn(p.shape, generator=generator).to(DEVICE)
        optimizer.step()
    for a, b in zip(params, plain, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@only_cuda
@pytest.mark.parametrize("how", [{"fused": True}, {"foreach": True}], ids=["fused", "foreach"])
def test_steps_are_captured_in_a_graph(how):
    params, eager = weights(SHAPES), weights(SHAPES)
    gradients = [torch.randn_like(p) for p in params]
    _, options = RULES["adamp"]
    captured = AdamP(params, **options, capturable=True, **how)
    plain = AdamP(eager, **options, capturable=True, **how)
    for p, q, g in zip(params, eager, gradients, strict=True):
        p.grad, q.grad = g.clone(), g.clone()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        captured.step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured.step()
    for _ in range(3):
        graph.replay()
    for _ in range(4):
        plain.step()
    for a, b in zip(params, eager, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


@only_cuda
@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("shapes", [SHAPES, MANY], ids=["odd", "many"])
@pytest.mark.parametrize("how", [{"fused": True}, {"foreach": True}], ids=["fused", "foreach"])
def test_a_step_does_not_wait_for_the_device(name, how, shapes):
    """Neither one that is prepared, as those of many are after two steps, nor one that is never, as weights without
    elements are among the odd."""
    rule, options = RULES[name]
    params = weights(shapes)
    for p in params:
        p.grad = torch.randn_like(p)
    optimizer = rule(params, **options, **how)
    for _ in range(3):
        optimizer.step()
    torch.cuda.set_sync_debug_mode("error")
    try:
        optimizer.step()
    finally:
        torch.cuda.set_sync_debug_mode("default")
