"""On a GPU a step waits for nothing that the device computes, in any implementation."""

from __future__ import annotations

import importlib.util

import pytest
import torch

from optathlon import optimizers
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.adarem_s import AdaRemS
from optathlon.optimizers.rules.sgdp import SGDP
from tests.fake_device import DEVICE, Waits

SHAPES = [(8, 3, 3, 3), (8,), (5, 4)]
READ_NUMBERS = {"adafactor", "soap", "lbfgs", "lamb", "prodigy", "shampoo"}
"""Optimizers whose rule, as published or as their package has it, asks for a number in a step; SOAP when it computes
its bases anew."""


def waits_of(optimizer: torch.optim.Optimizer, params: list[torch.Tensor], steps: int = 4) -> list[list[str]]:
    """What each step would wait for, on gradients that are new ones."""
    seen = []
    for _ in range(steps):
        for param in params:
            param.grad = torch.empty_like(param)
        with Waits() as waits:
            optimizer.step(lambda: torch.empty((), device=DEVICE))  # type: ignore[arg-type]
        seen.append(waits.seen)
    return seen


def parameters(shapes=SHAPES) -> list[torch.Tensor]:
    return [torch.nn.Parameter(torch.empty(shape, device=DEVICE)) for shape in shapes]


@pytest.mark.parametrize(
    ("name", "implementation"),
    [
        (name, implementation)
        for name in sorted(set(optimizers.names()) - READ_NUMBERS)
        for implementation in ("loop", "foreach")
        if implementation in optimizers.optimizer(name).implementations
    ],
)
def test_a_step_of_the_registry_s_optimizers_waits_for_nothing(name, implementation):
    spec = optimizers.optimizer(name)
    params = parameters([(4, 3), (5, 4)] if "matrices" in spec.flags else SHAPES)
    built = spec.build([{"params": params}], spec.resolve({"lr": 1e-2}), implementation)
    if hasattr(built, "train"):
        built.train()  # type: ignore[attr-defined]
    assert not any(waits_of(built, params))


class NoKernel:
    """Stands in for one of Triton's kernels: nothing can be launched here."""

    def __getitem__(self, grid: object) -> NoKernel:
        return self

    def __call__(self, *args: object, **options: object) -> None:
        return None


@pytest.fixture
def on_triton(monkeypatch):
    """Has tensors of the device be taken by the GPU's kernels, which do nothing."""
    pytest.importorskip("triton")
    from optathlon.optimizers.kernels import triton_kernels

    for name in ("advance", "decide", "descend", "adarem"):
        monkeypatch.setattr(triton_kernels, name, NoKernel())
    monkeypatch.setenv("TRITON_INTERPRET", "1")


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="needs Triton")
@pytest.mark.parametrize("shapes", [SHAPES, [*SHAPES, (0, 4)]], ids=["prepared", "never prepared"])
@pytest.mark.parametrize(
    ("rule", "options"),
    [
        (AdamP, {"lr": 0.1, "weight_decay": 0.1}),
        (AdamP, {"lr": 0.1, "capturable": True}),
        (SGDP, {"lr": 0.1, "momentum": 0.9}),
        (AdaRem, {"lr": 0.1, "beta": 0.9}),
        (AdaRem, {"lr": 0.1, "beta": 0.9, "maximize": True}),
        (AdaRemS, {"lr": 0.1, "beta": 0.9}),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "-".join(value),
)
def test_a_fused_step_waits_for_nothing_but_for_its_plan_in_the_first(rule, options, shapes, on_triton):
    params = parameters(shapes)
    optimizer = rule(params, **options, fused=True)
    first, *later = waits_of(optimizer, params, steps=5)
    assert optimizer.implementations()["fused (Triton)"] == len(SHAPES)
    assert not any(later), (first, later)
