"""AdaBound: Adam with each coordinate's rate clipped to bounds that close in on SGD's.

As one would write it on a board, per weight w with gradient g at step t:

    g <- g + weight_decay w                                      # decoupled: w <- w - lr weight_decay w instead
    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2                               # amsbound: the largest v so far
    final = final_lr lr / base_lr
    rate = (lr sqrt(1 - beta2^t) / (1 - beta1^t)) / (sqrt(v) + eps)
    w <- w - clip(rate, final (1 - 1 / (gamma t + 1)), final (1 + 1 / (gamma t))) m
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import by_device_and_dtype, zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer, Step, new_step
from optathlon.optimizers.rules.shared_steps import together


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
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, foreach, False)
        defaults = {
            "lr": lr,
            "betas": betas,
            "final_lr": final_lr,
            "gamma": gamma,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsbound": amsbound,
            "decoupled": decoupled,
            "foreach": foreach,
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

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave, or `adabound` 0.0.5's, which lacks the base rates: then ours stay."""
        bases = [group["base_lr"] for group in self.param_groups]
        super().load_state_dict(state_dict)
        for group, base in zip(self.param_groups, bases, strict=True):
            group.setdefault("base_lr", base)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            steps = list(self._steps(group))
            for param, _, _, state in steps:
                _prepare(param, state, group["amsbound"])
            func = _multi_tensor_adabound if together(steps, group) else _single_tensor_adabound
            func(steps, group)
        return loss


def _prepare(param: Tensor, state: dict[str, Any], amsbound: bool) -> None:
    if "exp_avg" not in state:
        state["step"] = new_step(param, on_device=False)
        state["exp_avg"], state["exp_avg_sq"] = zeros_like(param), zeros_like(param)
        if amsbound:
            state["max_exp_avg_sq"] = zeros_like(param)
    state["step"] += 1


def _bounds(t: float, group: dict[str, Any]) -> tuple[Any, Any, Any]:
    """Returns the rate at step `t` before it is divided by sqrt(v), and its least and largest value after that."""
    beta1, beta2 = group["betas"]
    lr, gamma = group["lr"], group["gamma"]
    final_lr = group["final_lr"] * (lr / group["base_lr"] if group["base_lr"] else float(lr > 0))
    base = lr * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
    return base, final_lr * (1 - 1 / (gamma * t + 1)), final_lr * (1 + 1 / (gamma * t))


def _single_tensor_adabound(steps: list[Step], group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    lr, decay = group["lr"], group["weight_decay"]
    for param, grad, weight, state in steps:
        if decay and not group["decoupled"]:
            grad = grad + decay * weight
        state["exp_avg"].lerp_(grad, 1 - beta1)
        second = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        if group["amsbound"]:
            second = torch.maximum(state["max_exp_avg_sq"], second, out=state["max_exp_avg_sq"])

        base, lower, upper = _bounds(state["step"].item(), group)
        rates = base / (second.sqrt() + group["eps"])
        change = rates.clamp_(lower, upper).mul_(state["exp_avg"])
        if decay and group["decoupled"]:
            change.add_(weight * (lr * decay))
        param.sub_(change)


def _multi_tensor_adabound(steps: list[Step], group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    lr, decay = group["lr"], group["weight_decay"]
    first = [state["exp_avg"] for *_, state in steps]
    for indices, (params, means) in by_device_and_dtype([param for param, *_ in steps], first):
        grads, weights, states = map(list, zip(*(steps[i][1:] for i in indices), strict=True))
        if decay and not group["decoupled"]:
            grads = list(torch._foreach_add(grads, weights, alpha=decay))
        second = [state["exp_avg_sq"] for state in states]
        torch._foreach_lerp_(means, grads, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, grads, grads, 1 - beta2)
        if group["amsbound"]:
            largest = [state["max_exp_avg_sq"] for state in states]
            torch._foreach_maximum_(largest, second)
            second = largest

        base, lower, upper = map(list, zip(*(_bounds(s["step"].item(), group) for s in states), strict=True))
        changes = list(torch._foreach_sqrt(second))
        torch._foreach_add_(changes, group["eps"])
        torch._foreach_reciprocal_(changes)
        torch._foreach_mul_(changes, base)
        torch._foreach_clamp_min_(changes, lower)
        torch._foreach_clamp_max_(changes, upper)
        torch._foreach_mul_(changes, means)
        if decay and group["decoupled"]:
            torch._foreach_add_(changes, weights, alpha=lr * decay)
        torch._foreach_sub_(params, changes)
