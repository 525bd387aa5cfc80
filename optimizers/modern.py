"""Optimizers of the package pytorch-optimizer that need a word of ours to be fit for training by name."""

# pyright: reportMissingImports=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_optimizer
import torch


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
            self._step()
        finally:
            for param, grad in kept:
                param.grad = grad
        return loss

    def _step(self) -> None:
        """The package's, without the hooks that torch puts around the step of every class it has built."""
        theirs: Any = super().step.__func__  # pyright: ignore[reportAttributeAccessIssue]
        (theirs.__wrapped__ if getattr(theirs, "hooked", False) else theirs)(self)


class LARS(_OnCopies, pytorch_optimizer.LARS):
    pass


class ScheduleFreeAdamW(_OnCopies, pytorch_optimizer.ScheduleFreeAdamW):
    pass
