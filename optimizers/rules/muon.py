"""Muon: momentum whose matrices are made orthogonal; what is no hidden matrix takes AdamW.

As one would write it on a board, for a matrix w with gradient g:

    b <- momentum b + (1 - momentum) g
    u <- momentum b + (1 - momentum) g if nesterov else b
    o <- newton_schulz(u)                        # ns_steps times x <- a x + (b xx' + c (xx')^2) x, from u / |u|
    w <- (1 - lr weight_decay) w - lr scale o    # scale: 0.2 sqrt(max(rows, columns)) for match_rms_adamw
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim._muon import _adjust_lr, _zeropower_via_newtonschulz
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer, Step
from optathlon.optimizers.rules.shared_steps import adam_change, adam_changes, alike, by_shape, together

ADJUSTMENTS = ("original", "match_rms_adamw")


class Muon(BaseOptimizer):
    """torch's Muon on weights of two dimensions or more, AdamW on vectors and in groups without `matrix`.

    A weight of more than two dimensions, such as a convolution's, counts as the matrix of its rows, dimension 0 by all
    others. matrix: to be turned off for embeddings and heads, which the authors leave to AdamW.

    adjust_lr_fn: "match_rms_adamw" makes the steps of matrices as long as AdamW's, so that one lr and one decay suit
        all; "original" scales them by the root of rows over columns where there are more rows.
    eps: of Newton-Schulz. betas, adam_eps: of AdamW.
    foreach: whether matrices of one shape are made orthogonal together; by default on an accelerator.

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
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        orthogonal = {"momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients, "eps": eps}
        orthogonal |= {"ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn, "matrix": matrix}
        adam = {"betas": betas, "adam_eps": adam_eps}
        more = {"foreach": foreach, "maximize": maximize}
        super().__init__(params, {"lr": lr, "weight_decay": weight_decay, **orthogonal, **adam, **more})

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
            steps = list(self._steps(group))
            matrices = [step for step in steps if group["matrix"] and step.param.ndim > 1]
            others = [step for step in steps if not (group["matrix"] and step.param.ndim > 1)]
            if together(steps, group):
                _adamw_steps(others, group)
                for alike_matrices in by_shape(matrices):
                    _orthogonal_steps(alike_matrices, group)
                continue
            for step in others:
                _adamw_step(step, group)
            for step in matrices:
                _orthogonal_step(step, group)
        return loss


def _orthogonal_step(step: Step, group: dict[str, Any]) -> None:
    param, grad, weight, state = step
    _start(param, state)
    buffer = state["momentum_buffer"].lerp_(grad, 1 - group["momentum"])
    update = (grad.lerp(buffer, group["momentum"]) if group["nesterov"] else buffer).flatten(1)
    orthogonal = _zeropower_via_newtonschulz(update, *_constants(group))
    size = _adjust_lr(group["lr"], group["adjust_lr_fn"], update.shape)
    change = orthogonal.to(weight.dtype).view(param.shape) * size
    param.sub_(change + weight * (group["lr"] * group["weight_decay"]))


def _orthogonal_steps(steps: list[Step], group: dict[str, Any]) -> None:
    """`_orthogonal_step` of weights of one shape, device and dtype, as one batch of matrices."""
    params, grads, weights, states = map(list, zip(*steps, strict=True))
    for param, state in zip(params, states, strict=True):
        _start(param, state)
    buffers = [state["momentum_buffer"] for state in states]
    torch._foreach_lerp_(buffers, grads, 1 - group["momentum"])
    updates = torch._foreach_lerp(grads, buffers, group["momentum"]) if group["nesterov"] else buffers
    matrices, constants = [update.flatten(1) for update in updates], _constants(group)
    # On the CPU a batched product in bfloat16 rounds otherwise than single ones, and saves nothing.
    if matrices[0].is_cpu:
        orthogonal = [_zeropower_via_newtonschulz(matrix, *constants) for matrix in matrices]
    else:
        orthogonal = list(zeropowers(torch.stack(matrices), *constants).unbind())
    size = _adjust_lr(group["lr"], group["adjust_lr_fn"], torch.Size((params[0].shape[0], params[0].shape[1:].numel())))
    changes = [o.to(weights[0].dtype).view(p.shape) for o, p in zip(orthogonal, params, strict=True)]
    changes = list(torch._foreach_mul(changes, size))
    torch._foreach_add_(changes, torch._foreach_mul(weights, group["lr"] * group["weight_decay"]))
    torch._foreach_sub_(params, changes)


def _constants(group: dict[str, Any]) -> tuple[tuple[float, float, float], int, float]:
    """Returns the coefficients, steps and eps of Newton-Schulz, as torch's function takes them."""
    return group["ns_coefficients"], group["ns_steps"], group["eps"]


def zeropowers(matrices: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float) -> Tensor:
    """Takes torch's Newton-Schulz iterations on a batch of matrices (n, rows, columns); in bfloat16, as there."""
    a, b, c = coefficients
    batch = matrices.bfloat16()
    tall = batch.shape[-2] > batch.shape[-1]
    if tall:
        batch = batch.mT
    batch = batch / torch.linalg.matrix_norm(batch, keepdim=True).clamp(min=eps)
    for _ in range(steps):
        gram = batch @ batch.mT
        batch = torch.baddbmm(batch, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), batch, beta=a)
    return batch.mT if tall else batch


def _start(param: Tensor, state: dict[str, Any]) -> None:
    if "momentum_buffer" not in state:
        state["momentum_buffer"] = zeros_like(param)


def _adamw_step(step: Step, group: dict[str, Any]) -> None:
    param, grad, weight, state = step
    change = adam_change(param, grad, state, group["lr"], group["betas"], group["adam_eps"])
    param.sub_(change + weight * (group["lr"] * group["weight_decay"]))


def _adamw_steps(steps: list[Step], group: dict[str, Any]) -> None:
    """`_adamw_step` of many tensors."""
    for params, grads, weights, states in alike(steps):
        changes = adam_changes(params, grads, states, group["lr"], group["betas"], group["adam_eps"])
        torch._foreach_add_(changes, torch._foreach_mul(weights, group["lr"] * group["weight_decay"]))
        torch._foreach_sub_(params, changes)
