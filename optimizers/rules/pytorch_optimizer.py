"""Optimizers of the package pytorch-optimizer with what they need to be fit for training by name."""

# pyright: reportMissingImports=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor

from optathlon.optimizers.rules.mixin import bare_step


class _Whole:
    """Copied and pickled with all but its hooks: torch leaves out what the package keeps beside the groups."""

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if not key.startswith("_optimizer_")}


class _OnCopies(_Whole):
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
            param.grad = self._given(param, grad)
        try:
            bare_step(super().step)  # pyright: ignore[reportAttributeAccessIssue]
        finally:
            for param, grad in kept:
                param.grad = grad
        return loss

    def _given(self, param: Tensor, grad: Tensor) -> Tensor | None:
        """What the package's step sees as the gradient."""
        return grad.clone()


class Lion(_Whole, pytorch_optimizer.Lion):
    pass


class Lamb(_Whole, pytorch_optimizer.Lamb):
    pass


class AdaBelief(_Whole, pytorch_optimizer.AdaBelief):
    pass


class Prodigy(_Whole, pytorch_optimizer.Prodigy):
    pass


class LARS(_OnCopies, pytorch_optimizer.LARS):
    pass


class Adan(_OnCopies, pytorch_optimizer.Adan):
    pass


class ScheduleFreeSGD(_OnCopies, pytorch_optimizer.ScheduleFreeSGD):
    pass


class ScheduleFreeAdamW(_OnCopies, pytorch_optimizer.ScheduleFreeAdamW):
    pass


class Shampoo(_OnCopies, pytorch_optimizer.Shampoo):
    """A weight whose gradient is not finite becomes NaN, and only it; the package's roots raise an error instead."""

    def _given(self, param: Tensor, grad: Tensor) -> Tensor | None:
        if grad.is_sparse:
            return grad
        if not param.numel():  # nor has the package a shape for these
            return None
        if not (grad.isfinite().all() and param.isfinite().all()):
            param.fill_(torch.nan)
            return None
        return grad.clone()
