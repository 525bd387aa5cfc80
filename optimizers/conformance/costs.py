"""Measures an optimizer's memory and time, and how the length of its steps follows that of the gradients."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor

from optathlon.optimizers.conformance.problems import Kit

ROUNDS, STEPS_PER_ROUND = 5, 10


def _tensors(state: Any) -> Iterator[Tensor]:
    if isinstance(state, Tensor):
        yield state
    elif isinstance(state, Mapping):
        for value in state.values():
            yield from _tensors(value)
    elif isinstance(state, list | tuple):
        for value in state:
            yield from _tensors(value)


def _state_bytes(kit: Kit) -> float:
    params = [torch.randn(64, 64, requires_grad=True) for _ in range(2)]
    optimizer = kit.build_groups([{"params": params}])
    for _ in range(3):
        kit.step(optimizer, lambda: sum(p.square().sum() for p in params))  # pyright: ignore[reportArgumentType]
    bytes_ = sum(t.nbytes for t in {id(t): t for t in _tensors(dict(optimizer.state))}.values())
    return bytes_ / sum(p.numel() for p in params)


def _step_cost(kit: Kit) -> float | None:
    """Returns the cost of a step; None for optimizers that evaluate a closure, whose step costs what the model does.

    Rounds of many steps are interleaved, and only the processor time of this thread counts, so that neither a busy
    machine nor what an optimizer does every tenth step changes the ratio.
    """
    if "closure" in kit.spec.flags:
        return None
    shapes = [(64, 576), (576, 64), (128, 256)] * 3 + ([] if "matrices" in kit.spec.flags else [(64,)] * 6)

    def prepared(build: Callable[[list[Tensor]], torch.optim.Optimizer]) -> torch.optim.Optimizer:
        params = [torch.randn(shape, requires_grad=True) for shape in shapes]
        for param in params:
            param.grad = torch.randn_like(param)
        optimizer = build(params)
        optimizer.step()
        return optimizer

    ours = prepared(lambda params: kit.build_groups([{"params": params}]))
    adamw = prepared(lambda params: torch.optim.AdamW(params, foreach=False))
    return statistics.median(_seconds(ours) / _seconds(adamw) for _ in range(ROUNDS))


def _seconds(optimizer: torch.optim.Optimizer) -> float:
    start = time.thread_time()
    for _ in range(STEPS_PER_ROUND):
        optimizer.step()
    return time.thread_time() - start


def _gradient_power(kit: Kit) -> float | None:
    """Returns the power; None where two steps move nothing, or not to a finite point."""

    def length(scale: float) -> float:
        params = [torch.ones(4, 4, dtype=torch.float64, requires_grad=True)]
        direction = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        optimizer = kit.build_groups([{"params": params}], 1e-3)
        kit.step(optimizer, lambda: (params[0] * direction).sum() * scale)
        if torch.equal(params[0], torch.ones_like(params[0])):
            kit.step(optimizer, lambda: (params[0] * direction).sum() * scale)
        return (params[0].detach() - 1).norm().item()

    short, long = length(1.0), length(10.0)
    return round(math.log10(long / short), 2) + 0.0 if 0 < short < math.inf and 0 < long < math.inf else None


MEASURES: dict[str, Callable[[Kit], float | None]] = {
    "state_bytes": _state_bytes,
    "step_cost": _step_cost,
    "gradient_power": _gradient_power,
}
