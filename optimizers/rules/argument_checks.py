"""Checks of constructor arguments that many rules share; messages begin as torch's own do."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def check(name: str, value: Any, low: float = 0.0, high: float | None = None) -> None:
    """Raises ValueError unless low <= value, and value < high if there is one."""
    if not low <= value or (high is not None and not value < high):
        upper = "" if high is None else f" and below {high}"
        raise ValueError(f"Invalid {name}: {value} (must be at least {low}{upper})")


def check_lr(lr: float | Tensor, foreach: bool | None, capturable: bool) -> None:
    """Raises ValueError unless the rate is at least 0 and, as a tensor, has one element that `foreach` may read."""
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        if lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
    check("learning rate", lr)


def check_implementation(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """Raises RuntimeError where two implementations are asked for at once, as torch's own optimizers do."""
    chosen = {"foreach": foreach, "fused": fused, "differentiable": differentiable}
    if sum(map(bool, chosen.values())) > 1:
        raise RuntimeError(f"`{'`, `'.join(k for k, v in chosen.items() if v)}` cannot be True together")
