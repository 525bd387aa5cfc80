"""Muon: momentum whose matrices are made orthogonal; what is no hidden matrix takes AdamW."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim._muon import _adjust_lr, _zeropower_via_newtonschulz
from torch.optim.optimizer import ParamsT

from optimizers._base import BaseOptimizer, check, check_lr, new_step, zeros_like

ADJUSTMENTS = ("original", "match_rms_adamw")


class Muon(BaseOptimizer):
    """torch's Muon on weights of two dimensions or more, AdamW on vectors and in groups without `matrix`.

    A weight of more than two dimensions, such as a convolution's, counts as the matrix of its rows, dimension 0 by all
    others. matrix: to be turned off for embeddings and heads, which the authors leave to AdamW.

    adjust_lr_fn: "match_rms_adamw" makes the steps of matrices as long as AdamW's, so that one lr and one decay suit
        all; "original" scales them by the root of rows over columns where there are more rows.
    eps: of Newton-Schulz. betas, adam_eps: of AdamW.

    Source: Jordan et al., Muon, 2024; Liu et al., Muon is Scalable for LLM Training, 2025, for match_rms_adamw.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str = "match_rms_adamw",
        *,
        matrix: bool = True,
        betas: tuple[float, float] = (0.9, 0.999),
        adam_eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        orthogonal = {"momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients, "eps": eps}
        orthogonal |= {"ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn, "matrix": matrix}
        adam = {"betas": betas, "adam_eps": adam_eps}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **orthogonal, **adam, "maximize": maximize})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check_lr(group["lr"], False, True)
        for name in ("weight_decay", "eps", "adam_eps"):
            check(name, group[name])
        check("momentum", group["momentum"], high=1.0)
        check("ns_steps", group["ns_steps"], low=1, high=100)
        for i, beta in enumerate(group["betas"]):
            check(f"beta parameter at index {i}", beta, high=1.0)
        if group["adjust_lr_fn"] not in ADJUSTMENTS:
            known = ", ".join(ADJUSTMENTS)
            raise ValueError(f"Invalid adjust_lr_fn: {group['adjust_lr_fn']!r} (must be one of {known})")
        if any(p.is_complex() for p in group["params"]):
            raise ValueError("Muon: complex weights are not made orthogonal here")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            for each in self._each(group):
                (_orthogonal_step if group["matrix"] and each[0].ndim > 1 else _adamw_step)(*each, group)
        return loss


def _orthogonal_step(param: Tensor, grad: Tensor, weight: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if "momentum_buffer" not in state:
        state["momentum_buffer"] = zeros_like(param)
    buffer = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
    update = (grad.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer).flatten(1)
    orthogonal = _zeropower_via_newtonschulz(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
    size = _adjust_lr(group["lr"], group["adjust_lr_fn"], update.shape)
    change = orthogonal.to(weight.dtype).view(param.shape) * size
    param.sub_(change + weight * (group["lr"] * group["weight_decay"]))


def _adamw_step(param: Tensor, grad: Tensor, weight: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    if "exp_avg" not in state:
        state["step"] = new_step(param, on_device=False)
        state["exp_avg"], state["exp_avg_sq"] = zeros_like(param), zeros_like(param)
    beta1, beta2 = group["betas"]
    state["step"] += 1
    t = state["step"].item()
    mean = state["exp_avg"].lerp_(grad, 1 - beta1)
    second = state["exp_avg_sq"].mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    denominator = second.sqrt() / (1 - beta2**t) ** 0.5 + group["adam_eps"]
    change = mean / denominator * (group["lr"] / (1 - beta1**t))
    param.sub_(change + weight * (group["lr"] * group["weight_decay"]))
