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
from optathlon.optimizers.kernels.assignment import Implementation, assign, dispatch
from optathlon.optimizers.kernels.scale_invariance import Radial
from optathlon.optimizers.kernels.state import SGDPHyperparameters, SGDPState
from optathlon.optimizers.kernels.tensor_lists import as_real, by_device_and_dtype, full_precision, zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_implementation, check_lr
from optathlon.optimizers.rules.kept_steps import Run
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
    kept_states = ("momentum_buffer", "view")

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
            if self._repeat_step(group):
                continue
            params = self._with_grad(group)
            state, hyper = self._gather(params, group), SGDPHyperparameters.from_group(group)
            views = sgdp(state, hyper, foreach=group["foreach"], fused=group["fused"])
            self._keep_views(params, views)
            self._keep_step(group)
        return loss

    def _prepare_cpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run:
        call = cpu.SGDPCall(self._gather(params, group))
        self._keep_views(params, call.views)
        return lambda grads: call.run(grads, SGDPHyperparameters.from_group(group))

    def _prepare_gpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run:
        from optathlon.optimizers.kernels import cuda  # needs Triton

        state = self._gather(params, group)
        call = cuda.SGDPCall(state.params, state.momentum_buffers, state.row_dims, group["delta"])
        self._keep_views(params, call.begin_with(state.views))
        return lambda grads: call.run(grads, SGDPHyperparameters.from_group(group))

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
    state: SGDPState, hyper: SGDPHyperparameters, *, foreach: bool | None, fused: bool | None
) -> list[Tensor | None]:
    """Takes one SGDP step on real tensors; returns the view of each, None for those that are never projected."""
    functions = {
        Implementation.LOOP: _single_tensor_sgdp,
        Implementation.FOREACH: _multi_tensor_sgdp,
        Implementation.FUSED_CPU: cpu.sgdp,
        Implementation.FUSED_GPU: _gpu_sgdp,
        Implementation.SHARDED: _sharded_sgdp,
    }
    assigned = assign(
        state.params,
        state.grads,
        state.row_dims,
        [state.momentum_buffers],
        lr=hyper.lr,
        foreach=foreach,
        fused=fused,
        capturable=hyper.capturable,
        differentiable=hyper.differentiable,
    )
    return dispatch(functions, state, hyper, assigned)


def _sharded_sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    """By foreach on this process's rows; only what decides about the projection is asked of the others."""
    shards = sharded.shards(state.params, state.row_dims)
    return _multi_tensor_sgdp(sharded.local_rows(state), hyper, shards)


def _gpu_sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    from optathlon.optimizers.kernels import cuda  # needs Triton

    return cuda.sgdp(state, hyper)


def _single_tensor_sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    momentum, nesterov, shrink = hyper.momentum, hyper.nesterov, hyper.shrink
    on_device = hyper.capturable or hyper.differentiable
    views: list[Tensor | None] = []
    for param, raw, buffer, rows, _ in zip(*state, strict=True):
        # Autograd must not find what the projection reads overwritten: neither the weight nor the momentum.
        weight = param.clone() if hyper.differentiable else param
        (weight,), (grad,) = full_precision([weight], [-raw if hyper.maximize else raw])
        buffer.mul_(momentum).add_(grad, alpha=1 - hyper.dampening)
        update = grad + momentum * buffer if nesterov else buffer.clone() if hyper.differentiable else buffer

        radial_ = radial(weight, grad, update, rows, hyper.invariance, hyper.wd_ratio, on_device) if rows else None
        if radial_ and hyper.project_buffer and not nesterov:
            buffer.sub_(radial_.multiple * weight)
            update, radial_ = buffer, radial_._replace(multiple=0.0)
        descend(param, weight, update, radial_, hyper.lr, shrink)
        views.append(radial_.view if radial_ else None)
    return views


def _multi_tensor_sgdp(
    state: SGDPState, hyper: SGDPHyperparameters, shards: list[sharded.Shard | None] | None = None
) -> list[Tensor | None]:
    views: list[Tensor | None] = [None] * len(state.params)
    for indices, parts in by_device_and_dtype(state.params, state.grads, state.momentum_buffers):
        params, raw, buffers = parts
        weights, grads = full_precision(params, torch._foreach_neg(raw) if hyper.maximize else raw)
        torch._foreach_mul_(buffers, hyper.momentum)
        torch._foreach_add_(buffers, grads, alpha=1 - hyper.dampening)
        if hyper.nesterov:
            updates = list(torch._foreach_mul(buffers, hyper.momentum))
            torch._foreach_add_(updates, grads)
        else:
            updates = [buffer.clone() for buffer in buffers]

        dims = [state.row_dims[i] for i in indices]
        if shards is None:
            radials_ = radials(weights, grads, updates, dims, hyper.invariance, hyper.wd_ratio)
        else:
            shards_ = [shards[i] for i in indices]
            radials_ = sharded.radials(weights, grads, updates, dims, shards_, hyper.invariance, hyper.wd_ratio)
        if hyper.project_buffer and not hyper.nesterov:
            _project(buffers, weights, radials_)
        descend_many(params, weights, updates, radials_, [hyper.lr] * len(params), hyper.shrink)
        for i, radial_ in zip(indices, radials_, strict=True):
            views[i] = radial_.view if radial_ else None
    return views


def _project(buffers: list[Tensor], weights: list[Tensor], radials_: Sequence[Radial | None]) -> None:
    """Takes the radial part out of the momentum itself, as clovaai/AdamP 0.3.0 does."""
    projected = [(b, w, r.multiple) for b, w, r in zip(buffers, weights, radials_, strict=True) if r is not None]
    if projected:
        projected_buffers, projected_weights, multiples = map(list, zip(*projected, strict=True))
        torch._foreach_addcmul_(projected_buffers, projected_weights, multiples, -1.0)
