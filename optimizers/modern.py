"""Optimizers of the package pytorch-optimizer that need a word of ours to be fit for training by name."""

# pyright: reportMissingImports=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_optimizer
import torch

from optimizers._base import bare_step


class _OnCopies:
    """Steps on copies of the gradients: the package's step writes to them."""

    param_groups: list[dict[str, Any]]

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update; returns the closure's loss."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kept = [(p, p.grad) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for param, grad in kept:
            param.grad = grad.clone()
        try:
            bare_step(super().step)  # pyright: ignore[reportAttributeAccessIssue]
        finally:
            for param, grad in kept:
                param.grad = grad
        return loss


class LARS(_OnCopies, pytorch_optimizer.LARS):
    pass


class ScheduleFreeAdamW(_OnCopies, pytorch_optimizer.ScheduleFreeAdamW):
    pass
