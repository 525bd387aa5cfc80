"""AdamP: AdamW whose step loses its radial part on scale-invariant weights.

As one would write it on a board, per weight w with gradient g at step t:

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) g^2
    u <- (m / (1 - beta1^t)) / (sqrt(v / (1 - beta2^t)) + eps)     # nesterov: beta1 m + (1 - beta1) g in place of m
    decay <- lr weight_decay
    if g is orthogonal to w, row by row or as a whole:             # rules/projection.py
        u <- u - (w . u) w / (|w| + eps)^2
        decay <- wd_ratio decay
    w <- (1 - decay) w - lr u

Every implementation below computes this; they differ in rounding only.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT, _use_grad_for_differentiable

from optathlon.optimizers.kernels import cpu, sharded
from optathlon.optimizers.kernels.assignment import Implementation, assign
from optathlon.optimizers.kernels.scale_invariance import ScaleInvariance
from optathlon.optimizers.kernels.state import AdamPState
from optathlon.optimizers.kernels.tensor_lists import (
    as_real,
    by_device_and_dtype,
    full_precision,
    increment,
    select,
    zeros_like,
)
from optathlon.optimizers.rules.argument_checks import check, check_implementation, check_lr
from optathlon.optimizers.rules.base_optimizer import new_step
from optathlon.optimizers.rules.projection import ProjectedOptimizer, descend, descend_many, radial, radials


class AdamP(ProjectedOptimizer):
    """AdamW, projected where the gradient is orthogonal to the weight, row by row or as a whole.

    delta: how orthogonal: |cosine| below delta / sqrt(length of the row).
    wd_ratio: factor on the decay where projected.
    projection: "auto" tests by channel, then by layer; "channel" or "layer" only so; "off" never.
    channel_dim: dimension of a weight's output channels; 1 for transposed convolutions.

    Source: Heo et al., AdamP, ICLR 2021, Algorithm 2; equal to clovaai/AdamP 0.3.0.
    """

    kernel_states = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        nesterov: bool = False,
        *,
        projection: str = "auto",
        channel_dim: int = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr, foreach, capturable)
        check_implementation(foreach, fused, differentiable)
        for i, beta in enumerate(betas):
            check(f"beta parameter at index {i}", beta, high=1.0)
        super().__init__(
            params,
            {
                "lr": lr,
                "betas": betas,
                "eps": eps,
                "weight_decay": weight_decay,
                "delta": delta,
                "wd_ratio": wd_ratio,
                "nesterov": nesterov,
                "projection": projection,
                "channel_dim": channel_dim,
                "foreach": foreach,
                "maximize": maximize,
                "capturable": capturable,
                "differentiable": differentiable,
                "fused": fused,
            },
        )

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        self._accelerator_graph_capture_health_check()
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            params = self._with_grad(group)
            views = adamp(
                self._gather(params, group),
                foreach=group["foreach"],
                fused=group["fused"],
                capturable=group["capturable"],
                differentiable=group["differentiable"],
                invariance=ScaleInvariance(group["delta"], group["eps"], group["projection"]),
                lr=group["lr"],
                betas=group["betas"],
                eps=group["eps"],
                weight_decay=group["weight_decay"],
                wd_ratio=group["wd_ratio"],
                nesterov=group["nesterov"],
                maximize=group["maximize"],
            )
            self._keep_views(params, views)
        return loss

    def _gather(self, params: list[Tensor], group: dict[str, Any]) -> AdamPState:
        states = [self._state(param, group) for param in params]
        return AdamPState(
            params=as_real(params),
            grads=as_real([p.grad for p in params if p.grad is not None]),
            exp_avgs=as_real([state["exp_avg"] for state in states]),
            exp_avg_sqs=as_real([state["exp_avg_sq"] for state in states]),
            steps=[state["step"] for state in states],
            row_dims=[self._row_dims(param, group) for param in params],
            views=[state.get("view") for state in states],
        )

    def _state(self, param: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = self.state[param]
        if "exp_avg" not in state:
            state["step"] = new_step(param, on_device=group["capturable"])
            state["exp_avg"] = zeros_like(param)
            state["exp_avg_sq"] = zeros_like(param)
        return state


def adamp(
    state: AdamPState,
    *,
    foreach: bool | None,
    fused: bool | None,
    capturable: bool,
    differentiable: bool,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
) -> list[Tensor | None]:
    """Takes one AdamP step on real tensors; returns the view of each, None for those that are never projected."""
    views: list[Tensor | None] = [None] * len(state.params)
    for implementation, indices in assign(
        state.params, state.grads, state.row_dims, [state.exp_avgs, state.exp_avg_sqs],
        lr=lr, foreach=foreach, fused=fused, capturable=capturable, differentiable=differentiable,
    ):  # fmt: skip
        if implementation is Implementation.SHARDED:
            func = _sharded_adamp
        elif implementation is Implementation.FUSED_GPU:
            func = _gpu_adamp
        elif implementation is Implementation.FUSED_CPU:
            func = _cpu_adamp
        elif implementation is Implementation.FOREACH:
            func = _multi_tensor_adamp
        else:
            func = _single_tensor_adamp
        views_of_part = func(
            select(state, indices),
            invariance=invariance,
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
            wd_ratio=wd_ratio,
            nesterov=nesterov,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
        )
        for i, view in zip(indices, views_of_part, strict=True):
            views[i] = view
    return views


def _sharded_adamp(state: AdamPState, **options: Any) -> list[Tensor | None]:
    """By foreach on this process's rows; only what decides about the projection is asked of the others."""
    shards = sharded.shards(state.params, state.row_dims)
    return _multi_tensor_adamp(sharded.local_rows(state), shards=shards, **options)


def _gpu_adamp(state: AdamPState, *, capturable: bool, differentiable: bool, **options: Any) -> list[Tensor | None]:
    from optathlon.optimizers.kernels import cuda  # needs Triton

    increment(state.steps)
    return cuda.adamp(state, **options)


def _cpu_adamp(
    state: AdamPState, *, lr: float | Tensor, capturable: bool, differentiable: bool, **options: Any
) -> list[Tensor | None]:
    increment(state.steps)
    return cpu.adamp(state, lr=float(lr), **options)


def _single_tensor_adamp(
    state: AdamPState,
    *,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
    capturable: bool,
    differentiable: bool,
) -> list[Tensor | None]:
    beta1, beta2 = betas
    on_device = capturable or differentiable
    views: list[Tensor | None] = []
    for param, raw, exp_avg, exp_avg_sq, step, rows, _ in zip(*state, strict=True):
        # Autograd must not find the weight of the projection overwritten by the descent.
        weight = param.clone() if differentiable else param
        (weight,), (grad,) = full_precision([weight], [-raw if maximize else raw])
        step += 1
        t = step if on_device else step.item()
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        # The correction of v moves from the root into eps and lr: one pass over the elements less.
        correction = (1 - beta2**t) ** 0.5
        momentum = beta1 * exp_avg + (1 - beta1) * grad if nesterov else exp_avg
        update = momentum / (exp_avg_sq.sqrt() + eps * correction)

        radial_ = radial(weight, grad, update, rows, invariance, wd_ratio, on_device) if rows else None
        descend(param, weight, update, radial_, lr * correction / (1 - beta1**t), lr * weight_decay)
        views.append(radial_.view if radial_ else None)
    return views


def _multi_tensor_adamp(
    state: AdamPState,
    *,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
    capturable: bool,
    differentiable: bool,
    shards: list[sharded.Shard | None] | None = None,
) -> list[Tensor | None]:
    beta1, beta2 = betas
    views: list[Tensor | None] = [None] * len(state.params)
    for indices, parts in by_device_and_dtype(
        state.params, state.grads, state.exp_avgs, state.exp_avg_sqs, state.steps
    ):
        params, raw, exp_avgs, exp_avg_sqs, steps = parts
        weights, grads = full_precision(params, torch._foreach_neg(raw) if maximize else raw)
        increment(steps)
        ts: list[Any] = list(steps) if capturable else [step.item() for step in steps]
        torch._foreach_lerp_(exp_avgs, grads, 1 - beta1)
        torch._foreach_mul_(exp_avg_sqs, beta2)
        torch._foreach_addcmul_(exp_avg_sqs, grads, grads, 1 - beta2)

        denominators = list(torch._foreach_sqrt(exp_avg_sqs))
        corrections: list[Any] = [(1 - beta2**t) ** 0.5 for t in ts]
        torch._foreach_add_(denominators, [eps * c for c in corrections])
        momenta = exp_avgs
        if nesterov:
            momenta = list(torch._foreach_mul(exp_avgs, beta1))
            torch._foreach_add_(momenta, grads, alpha=1 - beta1)
        updates = list(torch._foreach_div(momenta, denominators))

        dims = [state.row_dims[i] for i in indices]
        if shards is None:
            radials_ = radials(weights, grads, updates, dims, invariance, wd_ratio)
        else:
            shards_ = [shards[i] for i in indices]
            radials_ = sharded.radials(weights, grads, updates, dims, shards_, invariance, wd_ratio)
        step_sizes = [lr * c / (1 - beta1**t) for c, t in zip(corrections, ts, strict=True)]
        descend_many(params, weights, updates, radials_, step_sizes, lr * weight_decay)
        for i, radial_ in zip(indices, radials_, strict=True):
            views[i] = radial_.view if radial_ else None
    return views
