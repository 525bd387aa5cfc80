"""RMSprop as TensorFlow has it, with which EfficientNets are trained.

As one would write it on a board, per weight w with gradient g, from v = 1 and b = 0:

    g <- g + weight_decay w
    v <- alpha v + (1 - alpha) g^2
    b <- momentum b + lr g / sqrt(v + eps)
    w <- w - b
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer, Step
from optathlon.optimizers.rules.shared_steps import alike, together


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
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, False, True)
        check("alpha", alpha, high=1.0)
        check("momentum", momentum, high=1.0)
        check("eps", eps)
        check("weight_decay", weight_decay)
        options = {"alpha": alpha, "eps": eps, "weight_decay": weight_decay, "momentum": momentum}
        super().__init__(params, {"lr": lr, **options, "foreach": foreach, "maximize": maximize})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            steps = list(self._steps(group))
            for param, _, _, state in steps:
                if "square_avg" not in state:
                    state["square_avg"] = zeros_like(param).fill_(1.0)
                    state["momentum_buffer"] = zeros_like(param)
            func = _multi_tensor_rmsprop if together(steps, group) else _single_tensor_rmsprop
            func(steps, group)
        return loss


def _single_tensor_rmsprop(steps: list[Step], group: dict[str, Any]) -> None:
    for param, grad, weight, state in steps:
        if group["weight_decay"]:
            grad = grad.add(weight, alpha=group["weight_decay"])
        squares = state["square_avg"].mul_(group["alpha"]).addcmul_(grad, grad, value=1 - group["alpha"])
        root = squares.add(group["eps"]).sqrt_()
        step = state["momentum_buffer"].mul_(group["momentum"]).add_(grad / root * group["lr"])
        if group["lr"] != 0:
            param.sub_(step)


def _multi_tensor_rmsprop(steps: list[Step], group: dict[str, Any]) -> None:
    for params, grads, weights, states in alike(steps):
        if group["weight_decay"]:
            grads = list(torch._foreach_add(grads, weights, alpha=group["weight_decay"]))
        squares, buffers = [s["square_avg"] for s in states], [s["momentum_buffer"] for s in states]
        torch._foreach_mul_(squares, group["alpha"])
        torch._foreach_addcmul_(squares, grads, grads, 1 - group["alpha"])
        roots = list(torch._foreach_add(squares, group["eps"]))
        torch._foreach_sqrt_(roots)
        changes = list(torch._foreach_div(grads, roots))
        torch._foreach_mul_(changes, group["lr"])
        torch._foreach_mul_(buffers, group["momentum"])
        torch._foreach_add_(buffers, changes)
        if group["lr"] != 0:
            torch._foreach_sub_(params, buffers)
