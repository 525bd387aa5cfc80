"""Norms of weights and updates, measured on single updates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optathlon.suite.training.state import State


def snapshot(net: nn.Module) -> list[Tensor]:
    return [p.detach().clone() for p in net.parameters()]


def diagnose(state: State, name: str, before: list[Tensor]) -> None:
    """Note the norm of all weights, of the scale-invariant ones, and the effective step ‖Δw‖/‖w‖ of this update."""
    tags = state.workload.tags(name)
    named = dict(state.workload.players[name].named_parameters())
    invariant = [named[key].detach() for key, facts in tags.items() if "scale_invariant" in facts]
    old = norm(before)
    step = norm([p.detach() - q for p, q in zip(named.values(), before, strict=True)])
    state.note(f"{name}/weight_norm", old)
    state.note(f"{name}/effective_step", step / old if old else math.inf)
    if invariant:
        state.note(f"{name}/scale_invariant_norm", norm(invariant))


def norm(tensors: Sequence[Tensor]) -> float:
    return float(torch.stack([torch.linalg.vector_norm(t.float()).double() for t in tensors]).square().sum().sqrt())
