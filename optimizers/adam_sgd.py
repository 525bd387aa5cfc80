"""Adam, then SGD: the mixture with which music taggers are trained."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optimizers._base import BaseOptimizer, check, check_lr, nesterov_step, new_step, zeros_like


class AdamSGD(BaseOptimizer):
    """Adam for the first `switch` epochs, from then on SGD with Nesterov momentum; both with coupled L2 decay.

    The rates of the phases are the schedule's, relative to Adam's lr; that the best weights so far are reloaded at each
    change of phase is the protocol's (restore_best_at). Adam's state is dropped at the switch.

    Source: Won et al., Data-driven harmonic filters for audio representation learning, ICASSP 2020, and its code.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        switch: int = 60,
        *,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, False, True)
        for i, beta in enumerate(betas):
            check(f"beta parameter at index {i}", beta, high=1.0)
        for name, value in (("eps", eps), ("weight_decay", weight_decay), ("switch", switch)):
            check(name, value)
        check("momentum", momentum, high=1.0)
        options = {"betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum": momentum, "switch": switch}
        super().__init__(params, {"lr": lr, **options, "maximize": maximize, "epoch": 0})

    def epoch_end(self, epoch: int, score: float | None = None) -> None:
        """To be called after each epoch, counted from 0."""
        for group in self.param_groups:
            group["epoch"] = epoch + 1

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            for param, grad, weight, state in self._each(group):
                if group["epoch"] < group["switch"]:
                    _adam_step(param, grad, weight, state, group)
                else:
                    for key in ("step", "exp_avg", "exp_avg_sq"):
                        state.pop(key, None)
                    nesterov_step(param, grad, weight, state, group)
        return loss


def _adam_step(param: Tensor, grad: Tensor, weight: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if "exp_avg" not in state:
        state["step"] = new_step(param, on_device=False)
        state["exp_avg"], state["exp_avg_sq"] = zeros_like(param), zeros_like(param)
    state["step"] += 1
    t = state["step"].item()
    beta1, beta2 = group["betas"]
    if group["weight_decay"]:
        grad = grad + group["weight_decay"] * weight
    mean = state["exp_avg"].lerp_(grad, 1 - beta1)
    second = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    denominator = second.sqrt() / (1 - beta2**t) ** 0.5 + group["eps"]
    param.sub_(mean / denominator * (group["lr"] / (1 - beta1**t)))
