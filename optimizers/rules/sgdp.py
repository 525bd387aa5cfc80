"""SGDP: SGD with momentum whose step loses its radial part on scale-invariant weights.

As one would write it on a board, per weight w with gradient g:

    b <- momentum b + (1 - dampening) g
    u <- g + momentum b if nesterov else b
    decay <- lr weight_decay / (1 - momentum)
    if g is orthogonal to w, row by row or as a whole:             # rules/projection.py
        u <- u - (w . u) w / (|w| + eps)^2                         # project_buffer: and b is u, unless nesterov
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
from optathlon.optimizers.kernels.assignment import Implementation, assign
from optathlon.optimizers.kernels.scale_invariance import Radial, ScaleInvariance
from optathlon.optimizers.kernels.state import SGDPState
from optathlon.optimizers.kernels.tensor_lists import as_real, by_device_and_dtype, full_precision, select, zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_implementation, check_lr
from optathlon.optimizers.rules.projection import ProjectedOptimizer, descend, descend_many, radial, radials


class SGDP(ProjectedOptimizer):
    """SGD with momentum, projected where the gradient is orthogonal to the weight, row by row or as a whole.

    The momentum starts at zero, so dampening also acts on the first step; the decay is decoupled and divided by
    (1 - momentum). project_buffer: without Nesterov momentum the projection also acts on the momentum itself, as
    clovaai/AdamP 0.3.0 does and Algorithm 1 does not. The other options are AdamP's.

    Source: Heo et al., AdamP, ICLR 2021, Algorithm 1; with project_buffer equal to clovaai/AdamP 0.3.0.
    """

    renamed = {"momentum": "momentum_buffer"}  # noqa: RUF012
    kernel_states = ("momentum_buffer",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        eps: float = 1e-8,
        delta: float = 0.1,
        wd_ratio: float = 0.1,
        *,
        project_buffer: bool = False,
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
        check("momentum", momentum, high=1.0)
        super().__init__(
            params,
            {
                "lr": lr,
                "momentum": momentum,
                "dampening": dampening,
                "weight_decay": weight_decay,
                "nesterov": nesterov,
                "eps": eps,
                "delta": delta,
                "wd_ratio": wd_ratio,
                "project_buffer": project_buffer,
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
            views = sgdp(
                self._gather(params, group),
                foreach=group["foreach"],
                fused=group["fused"],
                capturable=group["capturable"],
                differentiable=group["differentiable"],
                invariance=ScaleInvariance(group["delta"], group["eps"], group["projection"]),
                lr=group["lr"],
                momentum=group["momentum"],
                dampening=group["dampening"],
                weight_decay=group["weight_decay"],
                nesterov=group["nesterov"],
                wd_ratio=group["wd_ratio"],
                project_buffer=group["project_buffer"],
                maximize=group["maximize"],
            )
            self._keep_views(params, views)
        return loss

    def _gather(self, params: list[Tensor], group: dict[str, Any]) -> SGDPState:
        states = [self.state[param] for param in params]
        for param, state in zip(params, states, strict=True):
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = zeros_like(param)
        return SGDPState(
            params=as_real(params),
            grads=as_real([p.grad for p in params if p.grad is not None]),
            momentum_buffers=as_real([state["momentum_buffer"] for state in states]),
            row_dims=[self._row_dims(param, group) for param in params],
            views=[state.get("view") for state in states],
        )


def sgdp(
    state: SGDPState,
    *,
    foreach: bool | None,
    fused: bool | None,
    capturable: bool,
    differentiable: bool,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
) -> list[Tensor | None]:
    """Takes one SGDP step on real tensors; returns the view of each, None for those that are never projected."""
    views: list[Tensor | None] = [None] * len(state.params)
    for implementation, indices in assign(
        state.params, state.grads, state.row_dims, [state.momentum_buffers],
        lr=lr, foreach=foreach, fused=fused, capturable=capturable, differentiable=differentiable,
    ):  # fmt: skip
        if implementation is Implementation.SHARDED:
            func = _sharded_sgdp
        elif implementation is Implementation.FUSED_GPU:
            func = _gpu_sgdp
        elif implementation is Implementation.FUSED_CPU:
            func = _cpu_sgdp
        elif implementation is Implementation.FOREACH:
            func = _multi_tensor_sgdp
        else:
            func = _single_tensor_sgdp
        views_of_part = func(
            select(state, indices),
            invariance=invariance,
            lr=lr,
            momentum=momentum,
            dampening=dampening,
            weight_decay=weight_decay,
            nesterov=nesterov,
            wd_ratio=wd_ratio,
            project_buffer=project_buffer,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
        )
        for i, view in zip(indices, views_of_part, strict=True):
            views[i] = view
    return views


def _sharded_sgdp(state: SGDPState, **options: Any) -> list[Tensor | None]:
    """By foreach on this process's rows; only what decides about the projection is asked of the others."""
    shards = sharded.shards(state.params, state.row_dims)
    return _multi_tensor_sgdp(sharded.local_rows(state), shards=shards, **options)


def _gpu_sgdp(state: SGDPState, *, capturable: bool, differentiable: bool, **options: Any) -> list[Tensor | None]:
    from optathlon.optimizers.kernels import cuda  # needs Triton

    return cuda.sgdp(state, **options)


def _cpu_sgdp(
    state: SGDPState, *, lr: float | Tensor, capturable: bool, differentiable: bool, **options: Any
) -> list[Tensor | None]:
    return cpu.sgdp(state, lr=float(lr), **options)


def _single_tensor_sgdp(
    state: SGDPState,
    *,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
    capturable: bool,
    differentiable: bool,
) -> list[Tensor | None]:
    shrink = lr * weight_decay / (1 - momentum)
    on_device = capturable or differentiable
    views: list[Tensor | None] = []
    for param, raw, buffer, rows, _ in zip(*state, strict=True):
        # Autograd must not find what the projection reads overwritten: neither the weight nor the momentum.
        weight = param.clone() if differentiable else param
        (weight,), (grad,) = full_precision([weight], [-raw if maximize else raw])
        buffer.mul_(momentum).add_(grad, alpha=1 - dampening)
        update = grad + momentum * buffer if nesterov else buffer.clone() if differentiable else buffer

        radial_ = radial(weight, grad, update, rows, invariance, wd_ratio, on_device) if rows else None
        if radial_ and project_buffer and not nesterov:
            buffer.sub_(radial_.multiple * weight)
            update, radial_ = buffer, radial_._replace(multiple=0.0)
        descend(param, weight, update, radial_, lr, shrink)
        views.append(radial_.view if radial_ else None)
    return views


def _multi_tensor_sgdp(
    state: SGDPState,
    *,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
    capturable: bool,
    differentiable: bool,
    shards: list[sharded.Shard | None] | None = None,
) -> list[Tensor | None]:
    shrink = lr * weight_decay / (1 - momentum)
    views: list[Tensor | None] = [None] * len(state.params)
    for indices, parts in by_device_and_dtype(state.params, state.grads, state.momentum_buffers):
        params, raw, buffers = parts
        weights, grads = full_precision(params, torch._foreach_neg(raw) if maximize else raw)
        torch._foreach_mul_(buffers, momentum)
        torch._foreach_add_(buffers, grads, alpha=1 - dampening)
        if nesterov:
            updates = list(torch._foreach_mul(buffers, momentum))
            torch._foreach_add_(updates, grads)
        else:
            updates = [buffer.clone() for buffer in buffers]

        dims = [state.row_dims[i] for i in indices]
        if shards is None:
            radials_ = radials(weights, grads, updates, dims, invariance, wd_ratio)
        else:
            shards_ = [shards[i] for i in indices]
            radials_ = sharded.radials(weights, grads, updates, dims, shards_, invariance, wd_ratio)
        if project_buffer and not nesterov:
            _project(buffers, weights, radials_)
        descend_many(params, weights, updates, radials_, [lr] * len(params), shrink)
        for i, radial_ in zip(indices, radials_, strict=True):
            views[i] = radial_.view if radial_ else None
    return views


def _project(buffers: list[Tensor], weights: list[Tensor], radials_: Sequence[Radial | None]) -> None:
    """Takes the radial part out of the momentum itself, as clovaai/AdamP 0.3.0 does."""
    projected = [(b, w, r.multiple) for b, w, r in zip(buffers, weights, radials_, strict=True) if r is not None]
    if projected:
        own_buffers, own_weights, multiples = map(list, zip(*projected, strict=True))
        torch._foreach_addcmul_(own_buffers, own_weights, multiples, -1.0)
