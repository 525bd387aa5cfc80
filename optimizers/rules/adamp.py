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

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT, _use_grad_for_differentiable

from optathlon.optimizers.kernels import cpu, sharded
from optathlon.optimizers.kernels.assignment import Implementation, assign, dispatch
from optathlon.optimizers.kernels.state import AdamPHyperparameters, AdamPState
from optathlon.optimizers.kernels.tensor_lists import (
    as_real,
    by_device_and_dtype,
    full_precision,
    increment,
    zeros_like,
)
from optathlon.optimizers.rules.argument_checks import check, check_implementation, check_lr
from optathlon.optimizers.rules.base_optimizer import new_step
from optathlon.optimizers.rules.kept_steps import Run, shared_counters
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
    kept_states = ("step", "exp_avg", "exp_avg_sq", "view")

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
            if self._repeat_step(group):
                continue
            params = self._with_grad(group)
            state, hyper = self._gather(params, group), AdamPHyperparameters.from_group(group)
            views = adamp(state, hyper, foreach=group["foreach"], fused=group["fused"])
            self._keep_views(params, views)
            self._keep_step(group)
        return loss

    def _prepare_cpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run | None:
        state = self._gather(params, group)
        if not cpu.counts_in(state.steps):
            return None
        call = cpu.AdamPCall(state)
        self._keep_views(params, call.views)
        return lambda grads: call.run(grads, AdamPHyperparameters.from_group(group))

    def _prepare_gpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run | None:
        from optathlon.optimizers.kernels import cuda  # needs Triton

        if (steps := shared_counters([self.state[param] for param in params])) is None:
            return None
        state = self._gather(params, group)
        call = cuda.AdamPCall(state.params, state.exp_avgs, state.exp_avg_sqs, state.row_dims, group["delta"])
        self._keep_views(params, call.begin_with(state.views))

        def run(grads: Sequence[Tensor]) -> None:
            steps.add_(1)
            call.run(grads, steps, AdamPHyperparameters.from_group(group))

        return run

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
    state: AdamPState, hyper: AdamPHyperparameters, *, foreach: bool | None, fused: bool | None
) -> list[Tensor | None]:
    """Takes one AdamP step on real tensors; returns the view of each, None for those that are never projected."""
    functions = {
        Implementation.LOOP: _single_tensor_adamp,
        Implementation.FOREACH: _multi_tensor_adamp,
        Implementation.FUSED_CPU: cpu.adamp,
        Implementation.FUSED_GPU: _gpu_adamp,
        Implementation.SHARDED: _sharded_adamp,
    }
    assigned = assign(
        state.params,
        state.grads,
        state.row_dims,
        [state.exp_avgs, state.exp_avg_sqs],
        lr=hyper.lr,
        foreach=foreach,
        fused=fused,
        capturable=hyper.capturable,
        differentiable=hyper.differentiable,
    )
    return dispatch(functions, state, hyper, assigned)


def _sharded_adamp(state: AdamPState, hyper: AdamPHyperparameters) -> list[Tensor | None]:
    """By foreach on this process's rows; only what decides about the projection is asked of the others."""
    shards = sharded.shards(state.params, state.row_dims)
    return _multi_tensor_adamp(sharded.local_rows(state), hyper, shards)


def _gpu_adamp(state: AdamPState, hyper: AdamPHyperparameters) -> list[Tensor | None]:
    from optathlon.optimizers.kernels import cuda  # needs Triton

    increment(state.steps)
    return cuda.adamp(state, hyper)


def _single_tensor_adamp(state: AdamPState, hyper: AdamPHyperparameters) -> list[Tensor | None]:
    (beta1, beta2), lr, eps = hyper.betas, hyper.lr, hyper.eps
    on_device = hyper.capturable or hyper.differentiable
    views: list[Tensor | None] = []
    for param, raw, exp_avg, exp_avg_sq, step, rows, _ in zip(*state, strict=True):
        # Autograd must not find the weight of the projection overwritten by the descent.
        weight = param.clone() if hyper.differentiable else param
        (weight,), (grad,) = full_precision([weight], [-raw if hyper.maximize else raw])
        step += 1
        t = step if on_device else step.item()
        exp_avg.lerp_(grad, 1 - beta1)
        exp_avg_sq.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
        # The correction of v moves from the root into eps and lr: one pass over the elements less.
        correction = (1 - beta2**t) ** 0.5
        momentum = beta1 * exp_avg + (1 - beta1) * grad if hyper.nesterov else exp_avg
        update = momentum / (exp_avg_sq.sqrt() + eps * correction)

        radial_ = radial(weight, grad, update, rows, hyper.invariance, hyper.wd_ratio, on_device) if rows else None
        descend(param, weight, update, radial_, lr * correction / (1 - beta1**t), lr * hyper.weight_decay)
        views.append(radial_.view if radial_ else None)
    return views


def _multi_tensor_adamp(
    state: AdamPState, hyper: AdamPHyperparameters, shards: list[sharded.Shard | None] | None = None
) -> list[Tensor | None]:
    (beta1, beta2), lr, eps = hyper.betas, hyper.lr, hyper.eps
    views: list[Tensor | None] = [None] * len(state.params)
    for indices, parts in by_device_and_dtype(
        state.params, state.grads, state.exp_avgs, state.exp_avg_sqs, state.steps
    ):
        params, raw, exp_avgs, exp_avg_sqs, steps = parts
        weights, grads = full_precision(params, torch._foreach_neg(raw) if hyper.maximize else raw)
        increment(steps)
        ts: list[Any] = list(steps) if hyper.capturable else [step.item() for step in steps]
        torch._foreach_lerp_(exp_avgs, grads, 1 - beta1)
        torch._foreach_mul_(exp_avg_sqs, beta2)
        torch._foreach_addcmul_(exp_avg_sqs, grads, grads, 1 - beta2)

        denominators = list(torch._foreach_sqrt(exp_avg_sqs))
        corrections: list[Any] = [(1 - beta2**t) ** 0.5 for t in ts]
        torch._foreach_add_(denominators, [eps * c for c in corrections])
        momenta = exp_avgs
        if hyper.nesterov:
            momenta = list(torch._foreach_mul(exp_avgs, beta1))
            torch._foreach_add_(momenta, grads, alpha=1 - beta1)
        updates = list(torch._foreach_div(momenta, denominators))

        dims = [state.row_dims[i] for i in indices]
        if shards is None:
            radials_ = radials(weights, grads, updates, dims, hyper.invariance, hyper.wd_ratio)
        else:
            shards_ = [shards[i] for i in indices]
            radials_ = sharded.radials(weights, grads, updates, dims, shards_, hyper.invariance, hyper.wd_ratio)
        step_sizes = [lr * c / (1 - beta1**t) for c, t in zip(corrections, ts, strict=True)]
        descend_many(params, weights, updates, radials_, step_sizes, lr * hyper.weight_decay)
        for i, radial_ in zip(indices, radials_, strict=True):
            views[i] = radial_.view if radial_ else None
    return views
