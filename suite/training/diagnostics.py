"""Norms of weights and updates, measured on single updates."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from optathlon.suite.training.state import State


def snapshot(net: nn.Module) -> list[Tensor]:
    """Copies of all weights."""
    return [p.detach().clone() for p in net.parameters()]


def diagnose(state: State, name: str, before: list[Tensor]) -> None:
    """Note the norm of all weights, of the scale-invariant ones, and the effective step ‖Δw‖/‖w‖ of this update."""
    tags = state.workload.tags(name)
    named = dict(state.workload.players[name].named_parameters())
    invariant = [named[key].detach() for key, facts in tags.items() if "scale_invariant" in facts]
    old = norm(before)
    step = norm(torch._foreach_sub([p.detach() for p in named.values()], before))
    state.note(f"{name}/weight_norm", old)
    state.note(f"{name}/effective_step", step / old if old else math.inf)
    if invariant:
        state.note(f"{name}/scale_invariant_norm", norm(invariant))


def norm(tensors: Sequence[Tensor]) -> float:
    """The norm of all tensors as one vector, in float64; a complex element counts with both its parts."""
    # By foreach: on a GPU one launch instead of one per tensor, and one wait in all.
    norms = torch._foreach_norm([torch.view_as_real(t) if t.is_complex() else t for t in tensors], dtype=torch.float64)
    return float(torch.stack([n.to(norms[0].device) for n in norms]).square().sum().sqrt())
