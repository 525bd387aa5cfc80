"""Optimizers of the package pytorch-optimizer, made fit for training: picklable, and without writing to gradients."""

# pyright: reportMissingImports=false, reportMissingTypeStubs=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytorch_optimizer
import torch
from torch import Tensor

from optathlon.optimizers.rules.mixin import bare_step


class _Whole:
    """Is copied and pickled with all but its hooks: torch alone would lose what the package keeps beside the groups."""

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
        originals = [(p, p.grad) for group in self.param_groups for p in group["params"] if p.grad is not None]
        for param, grad in originals:
            param.grad = self._gradient_for_step(param, grad)
        try:
            bare_step(super().step)  # pyright: ignore[reportAttributeAccessIssue]
        finally:
            for param, grad in originals:
                param.grad = grad
        return loss

    def _gradient_for_step(self, param: Tensor, grad: Tensor) -> Tensor | None:
        """Returns what the package's step finds as the gradient."""
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

    def _gradient_for_step(self, param: Tensor, grad: Tensor) -> Tensor | None:
        if grad.is_sparse:
            return grad
        if not param.numel():  # the package cannot make a matrix of these
            return None
        if not (grad.isfinite().all() and param.isfinite().all()):
            param.fill_(torch.nan)
            return None
        return grad.clone()
