"""RMSprop as TensorFlow has it, with which EfficientNets are trained."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from optimizers._base import BaseOptimizer, check, check_lr, zeros_like


class RMSpropTF(BaseOptimizer):
    """RMSprop with eps inside the root, a mean square that starts at 1, and the rate inside the momentum.

    The decay is coupled L2. The momentum holds the rate: a change of lr acts on later gradients; where lr is 0 nothing
    moves all the same.

    Source: TensorFlow's RMSProp; as timm's RMSpropTF.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-2,
        alpha: float = 0.9,
        eps: float = 1e-3,
        weight_decay: float = 0.0,
        momentum: float = 0.9,
        *,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, False, True)
        check("alpha", alpha, high=1.0)
        check("momentum", momentum, high=1.0)
        check("eps", eps)
        check("weight_decay", weight_decay)
        options = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum, "maximize": maximize}
        super().__init__(params, {"lr": lr, **options})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            for param, grad, weight, state in self._each(group):
                if "square_avg" not in state:
                    state["square_avg"] = zeros_like(param).fill_(1.0)
                    state["momentum_buffer"] = zeros_like(param)
                if group["weight_decay"]:
                    grad = grad + group["weight_decay"] * weight
                root = state["square_avg"].lerp_(grad.square(), 1 - group["alpha"]).add(group["eps"]).sqrt_()
                step = state["momentum_buffer"].mul_(group["momentum"]).add_(grad / root * group["lr"])
                if group["lr"] != 0:
                    param.sub_(step)
        return loss
