"""SOAP: Adam in the slowly changing eigenbases of Shampoo's covariances.

As one would write it on a board, for a matrix w with gradient g, covariances L, R and their eigenbases P, Q:

    m <- beta1 m + (1 - beta1) g
    v <- beta2 v + (1 - beta2) (P' g Q)^2
    w <- w - lr sqrt(1 - beta2^t) / (1 - beta1^t)  P ((P' m Q) / (sqrt(v) + eps)) Q'
    w <- w - lr weight_decay w
    L <- b L + (1 - b) g g';  R <- b R + (1 - b) g' g                    # b = shampoo_beta
    every precondition_frequency steps:  P <- qr(L P),  Q <- qr(R Q), columns and v by falling eigenvalue
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels.tensor_lists import increment, numbers_or_tensors, zeros_like
from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer, Step, new_step
from optathlon.optimizers.rules.shared_steps import alike, together


class SOAP(BaseOptimizer):
    """Adam on gradients that are rotated, dimension by dimension, into the eigenbasis of their covariance.

    Each parameter's first gradient only makes its bases and moves nothing, as in the authors' code; vectors take Adam,
    from their second gradient on. The decay is decoupled and acts after the step.

    shampoo_beta: of the covariances; None for the second of `betas`.
    precondition_frequency: steps between two improvements of the bases, each a step of orthogonal iteration.
    max_precondition_dim: longer dimensions are not rotated.
    merge_dims: a weight of more than two dimensions counts as the matrix of its rows, dimension 0 by all others.

    Source: Vyas et al., SOAP: Improving and Stabilizing Shampoo using Adam, ICLR 2025, Algorithm 3.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 3e-3,
        betas: tuple[float, float] = (0.95, 0.95),
        shampoo_beta: float | None = None,
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        precondition_frequency: int = 10,
        max_precondition_dim: int = 10000,
        merge_dims: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = {"betas": betas, "shampoo_beta": shampoo_beta, "eps": eps, "weight_decay": weight_decay}
        rotation = {
            "precondition_frequency": precondition_frequency,
            "max_precondition_dim": max_precondition_dim,
            "merge_dims": merge_dims,
        }
        super().__init__(params, {"lr": lr, **options, **rotation, "foreach": foreach, "maximize": maximize})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check_lr(group["lr"], False, True)
        for i, beta in enumerate(group["betas"]):
            check(f"beta parameter at index {i}", beta, high=1.0)
        if group["shampoo_beta"] is not None:
            check("shampoo_beta", group["shampoo_beta"], high=1.0)
        for name in ("eps", "weight_decay", "max_precondition_dim"):
            check(name, group[name])
        check("precondition_frequency", group["precondition_frequency"], low=1)
        if any(p.is_complex() for p in group["params"]):
            raise ValueError("SOAP: complex weights have no covariances here")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            steps = []
            for param, grad, weight, state in self._steps(group):
                if "exp_avg" in state:
                    steps.append(Step(param, grad, weight, state))
                else:
                    _prepare(param, _reshaped(grad, group), state, group)
            func = _multi_tensor_soap if together(steps, group) else _single_tensor_soap
            func(steps, group)
        return loss


def _reshaped(tensor: Tensor, group: dict[str, Any]) -> Tensor:
    """In the shape that is rotated; in one layout, as directions without a gradient so far magnify all rounding."""
    shape = tuple(tensor.shape) or (1,)
    if tensor.ndim > 2 and group["merge_dims"]:
        shape = tensor.shape[0], tensor.numel() // tensor.shape[0]
    return tensor.reshape(shape).contiguous()


def _prepare(param: Tensor, tensor: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    state["step"] = new_step(param, on_device=False)
    state["exp_avg"] = zeros_like(param)
    state["exp_avg_sq"] = torch.zeros_like(tensor, memory_format=torch.contiguous_format)
    if tensor.ndim > 1:
        for i, size in enumerate(tensor.shape):
            if size <= group["max_precondition_dim"]:
                state[f"covariance_{i}"] = tensor.new_zeros(size, size)
    _accumulate(tensor, state, group)
    for i in _rotated(state):
        state[f"basis_{i}"] = _eigenbasis(state[f"covariance_{i}"])


def _single_tensor_soap(steps: list[Step], group: dict[str, Any]) -> None:
    beta1, beta2 = group["betas"]
    for param, grad, _, state in steps:
        tensor = _reshaped(grad, group)
        state["step"] += 1
        rotated = _rotate(tensor, state)
        mean = state["exp_avg"].lerp_(grad, 1 - beta1)
        second = state["exp_avg_sq"].lerp_(rotated.square(), 1 - beta2)
        direction = _rotate(_reshaped(mean, group), state) / (second.sqrt() + group["eps"])
        param.sub_((_rotate(direction, state, back=True) * _size(state, group)).reshape(param.shape))
        if group["weight_decay"]:
            param.sub_(param * (group["lr"] * group["weight_decay"]))
        _accumulate(tensor, state, group)
        _improve_when_due(state, group)


def _multi_tensor_soap(steps: list[Step], group: dict[str, Any]) -> None:
    """Takes matrix products one by one, all else together: the products of a batch would need copies of all bases."""
    beta1, beta2 = group["betas"]
    for params, grads, _, states in alike(steps):
        tensors = [_reshaped(grad, group) for grad in grads]
        increment([state["step"] for state in states])
        means, seconds = [state["exp_avg"] for state in states], [state["exp_avg_sq"] for state in states]
        rotated = [_rotate(tensor, state) for tensor, state in zip(tensors, states, strict=True)]
        torch._foreach_lerp_(means, grads, 1 - beta1)
        torch._foreach_lerp_(seconds, torch._foreach_mul(rotated, rotated), 1 - beta2)
        roots = list(torch._foreach_sqrt(seconds))
        torch._foreach_add_(roots, group["eps"])
        rotated_means = [_rotate(_reshaped(mean, group), state) for mean, state in zip(means, states, strict=True)]
        directions = torch._foreach_div(rotated_means, roots)
        back = [_rotate(direction, state, back=True) for direction, state in zip(directions, states, strict=True)]
        changes = torch._foreach_mul(back, numbers_or_tensors([_size(state, group) for state in states]))
        torch._foreach_sub_(params, [change.reshape(p.shape) for change, p in zip(changes, params, strict=True)])
        if group["weight_decay"]:
            torch._foreach_sub_(params, torch._foreach_mul(params, group["lr"] * group["weight_decay"]))
        for tensor, state in zip(tensors, states, strict=True):
            _accumulate(tensor, state, group)
            _improve_when_due(state, group)


def _size(state: dict[str, Any], group: dict[str, Any]) -> Any:
    """Returns what the direction is multiplied by."""
    beta1, beta2 = group["betas"]
    t = state["step"].item()
    return group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)


def _accumulate(tensor: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    beta = group["betas"][1] if group["shampoo_beta"] is None else group["shampoo_beta"]
    for i in _rotated(state):
        rows = tensor.movedim(i, 0).flatten(1)
        state[f"covariance_{i}"].lerp_(rows @ rows.T, 1 - beta)


def _rotated(state: dict[str, Any]) -> list[int]:
    """Returns the dimensions that have a covariance."""
    return [i for i in range(state["exp_avg_sq"].ndim) if f"covariance_{i}" in state]


def _rotate(tensor: Tensor, state: dict[str, Any], back: bool = False) -> Tensor:
    """Rotates `tensor` into the eigenbases, or back; each round moves the first dimension to the end."""
    for i in range(tensor.ndim):
        basis = state.get(f"basis_{i}")
        if basis is None:
            tensor = tensor.movedim(0, -1)
        else:
            tensor = torch.tensordot(tensor, basis, dims=([0], [1 if back else 0]))  # pyright: ignore[reportArgumentType]
    return tensor


def _eigenbasis(covariance: Tensor) -> Tensor:
    """Returns the eigenvectors as columns by falling eigenvalue; the axes, if a gradient was not finite."""
    identity = torch.eye(len(covariance), dtype=covariance.dtype, device=covariance.device)
    if not covariance.isfinite().all():
        return identity
    return torch.linalg.eigh(covariance + 1e-30 * identity).eigenvectors.flip(1)


def _improve_when_due(state: dict[str, Any], group: dict[str, Any]) -> None:
    """Takes a step of orthogonal iteration from the present bases, and sorts the second moment as them."""
    if state["step"].item() % group["precondition_frequency"]:
        return
    for i in _rotated(state):
        covariance, basis = state[f"covariance_{i}"], state[f"basis_{i}"]
        product = covariance @ basis
        order = (basis * product).sum(0).argsort(descending=True, stable=True)
        state["exp_avg_sq"] = state["exp_avg_sq"].index_select(i, order)
        state[f"basis_{i}"] = torch.linalg.qr(product.index_select(1, order)).Q
