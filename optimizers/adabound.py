"""AdaBound: Adam with each coordinate's rate clipped to bounds that close in on SGD's."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from optimizers._base import BaseOptimizer, check, check_lr, new_step, zeros_like


class AdaBound(BaseOptimizer):
    """Adam whose rates are clipped between bounds that go from (0, infinity) to `final_lr` at speed `gamma`.

    The bounds follow lr: final_lr lr / base_lr, with base_lr the group's lr when it was added. amsbound: with the
    running maximum of the second moment. The decay is coupled L2, or with `decoupled` scaled by lr as AdamW's.

    Source: Luo et al., Adaptive Gradient Methods with Dynamic Bound of Learning Rate, ICLR 2019; equal to `adabound`
    0.0.5, but base_lr survives a checkpoint, groups added later are updated, and lr = 0 is a step that moves nothing.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        final_lr: float = 0.1,
        gamma: float = 1e-3,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsbound: bool = False,
        *,
        decoupled: bool = False,
        maximize: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "final_lr": final_lr,
            "gamma": gamma,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsbound": amsbound,
            "decoupled": decoupled,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check_lr(group["lr"], False, True)
        for name in ("final_lr", "eps", "weight_decay"):
            check(name, group[name])
        for i, beta in enumerate(group["betas"]):
            check(f"beta parameter at index {i}", beta, high=1.0)
        if not 0.0 < group["gamma"] < 1.0:
            raise ValueError(f"Invalid gamma: {group['gamma']} (must be above 0 and below 1)")
        group.setdefault("base_lr", group["lr"])

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            lr, decay = group["lr"], group["weight_decay"]
            final_lr = group["final_lr"] * (lr / group["base_lr"] if group["base_lr"] else float(lr > 0))
            for param, grad, weight, state in self._each(group):
                if "exp_avg" not in state:
                    state["step"] = new_step(param, on_device=False)
                    state["exp_avg"], state["exp_avg_sq"] = zeros_like(param), zeros_like(param)
                    if group["amsbound"]:
                        state["max_exp_avg_sq"] = zeros_like(param)
                state["step"] += 1
                t = state["step"].item()
                if decay and not group["decoupled"]:
                    grad = grad + decay * weight
                state["exp_avg"].lerp_(grad, 1 - beta1)
                second = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
                if group["amsbound"]:
                    second = torch.maximum(state["max_exp_avg_sq"], second, out=state["max_exp_avg_sq"])

                lower, upper = (
                    final_lr * (1 - 1 / (group["gamma"] * t + 1)),
                    final_lr * (1 + 1 / (group["gamma"] * t)),
                )
                rates = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t) / (second.sqrt() + group["eps"])
                change = rates.clamp_(lower, upper).mul_(state["exp_avg"])
                if decay and group["decoupled"]:
                    change.add_(weight * (lr * decay))
                param.sub_(change)
        return loss
