"""SGD-G and Adam-G: weights whose rows are unit vectors move along great circles, the others by Nesterov SGD.

As one would write them on a board, for a unit row y of a weight with gradient g:

    h <- g + omega * gradient of |Y Y' - I|^2 / 2, without its part along y, clipped to norm clip
    SGD-G:   d <- momentum d - lr h
    Adam-G:  m <- momentum m + (1 - momentum) h;   v <- beta2 v + (1 - beta2) |h|^2
             d <- -lr sqrt(1 - beta2^t) / (1 - momentum^t)  m / sqrt(v + eps)
    y <- y cos|d| + (d / |d|) sin|d|;   the momentum is carried along the same circle
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.rules.argument_checks import check, check_lr
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer, Step, new_step
from optathlon.optimizers.rules.shared_steps import by_shape, nesterov_step, nesterov_steps, together

TINY = 1e-8
"""Added to norms that are divided by."""


class _Grassmann(BaseOptimizer):
    """The base of SGDG and AdamG: which weights are on the manifold, and all but the movement of their rows.

    manifold: whether the rows (dimension 0 kept, the rest flattened) of a group's weights are points of the manifold;
        they are normalized at construction. Vectors never are.
    omega: strength of the pull towards orthogonal rows, where there are fewer rows than elements in one.
    clip: limit on the norm of each row's gradient; 0 for none.
    weight_decay: coupled L2, of the other parameters only; momentum, there, is Nesterov's.
    foreach: whether weights of one shape are moved together; by default on an accelerator.
    """

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check_lr(group["lr"], False, True)
        for name in ("omega", "clip", "weight_decay"):
            check(name, group[name])
        check("momentum", group["momentum"], high=1.0)
        with torch.no_grad():
            for param in group["params"]:
                if _on_manifold(param, group):
                    if param.is_complex():
                        raise ValueError(f"{type(self).__name__}: complex weights have no place on this manifold")
                    param.copy_(unit(param.flatten(1)).view_as(param))

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        for group in self.param_groups:
            steps = list(self._steps(group))
            on_manifold = [step for step in steps if _on_manifold(step.param, group)]
            others = [step for step in steps if not _on_manifold(step.param, group)]
            if together(steps, group):
                nesterov_steps(others, group)
                for alike in by_shape(on_manifold):
                    self._step_together(alike, group)
                continue
            for step in others:
                nesterov_step(step, group)
            for step in on_manifold:
                self._step_alone(step, group)
        return loss

    def _step_alone(self, step: Step, group: dict[str, Any]) -> None:
        param, grad, weight, state = step
        rows = unit(weight.flatten(1))
        self._prepare(rows, state)
        if group["lr"] != 0:
            descent = tangent(rows, grad.flatten(1), group["omega"], group["clip"])
            param.copy_(self._move(rows, descent, state, group).view_as(param))

    def _step_together(self, steps: list[Step], group: dict[str, Any]) -> None:
        """`_step_alone` of weights of one shape, device and dtype, as one batch of matrices."""
        params, grads, weights, states = map(list, zip(*steps, strict=True))
        rows = unit(torch.stack([w.flatten(1) for w in weights]))
        for rows_of_one, state in zip(rows, states, strict=True):
            self._prepare(rows_of_one, state)
        if group["lr"] != 0:
            descent = tangent(rows, torch.stack([g.flatten(1) for g in grads]), group["omega"], group["clip"])
            batch = {key: torch.stack([state[key] for state in states]) for key in states[0]}
            moved = self._move(rows, descent, batch, group)
            torch._foreach_copy_(params, [m.view_as(p) for m, p in zip(moved, params, strict=True)])
            for key, value in batch.items():
                torch._foreach_copy_([state[key] for state in states], list(value.unbind()))

    @abstractmethod
    def _prepare(self, rows: Tensor, state: dict[str, Any]) -> None:
        """Makes the state where there is none."""

    @abstractmethod
    def _move(self, rows: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        """Returns the rows after a step along the tangent `grad`; all may be batches, of rows (..., rows, length)."""


class SGDG(_Grassmann):
    """Riemannian SGD with momentum on unit rows. The momentum holds the rate: a change of lr acts on later gradients.

    Source: Cho & Lee, Riemannian approach to batch normalization, NeurIPS 2017, Algorithm 2; equal to the authors'
    PyTorch code, but omega is a working argument.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        *,
        manifold: bool = False,
        omega: float = 0.1,
        clip: float = 0.1,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = {
            "momentum": momentum,
            "weight_decay": weight_decay,
            "manifold": manifold,
            "omega": omega,
            "clip": clip,
        }
        super().__init__(params, {"lr": lr, **options, "foreach": foreach, "maximize": maximize})

    def _prepare(self, rows: Tensor, state: dict[str, Any]) -> None:
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = torch.zeros_like(rows)

    def _move(self, rows: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        velocity = group["momentum"] * state["momentum_buffer"] - group["lr"] * grad
        length, along = norm(velocity), unit(velocity)
        state["momentum_buffer"].copy_((along * length.cos() - rows * length.sin()) * length)
        return geodesic(rows, velocity)


class AdamG(_Grassmann):
    """Riemannian Adam on unit rows, with one second moment per row.

    Source: Cho & Lee, Riemannian approach to batch normalization, NeurIPS 2017, Algorithm 3; equal to the authors'
    PyTorch code, but omega is a working argument.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 0.01,
        momentum: float = 0.9,
        beta2: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        manifold: bool = False,
        omega: float = 0.1,
        clip: float = 0.1,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        options = {
            "momentum": momentum,
            "weight_decay": weight_decay,
            "manifold": manifold,
            "omega": omega,
            "clip": clip,
        }
        options |= {"beta2": beta2, "eps": eps}
        super().__init__(params, {"lr": lr, **options, "foreach": foreach, "maximize": maximize})

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        check("beta2", self.param_groups[-1]["beta2"], high=1.0)
        check("eps", self.param_groups[-1]["eps"])

    def _prepare(self, rows: Tensor, state: dict[str, Any]) -> None:
        if "exp_avg" not in state:
            state["step"] = new_step(rows, on_device=False)
            state["exp_avg"] = torch.zeros_like(rows)
            state["exp_avg_sq"] = torch.zeros_like(rows[:, :1])

    def _move(self, rows: Tensor, grad: Tensor, state: dict[str, Any], group: dict[str, Any]) -> Tensor:
        beta1, beta2 = group["momentum"], group["beta2"]
        state["step"] += 1
        t = state["step"].double()
        mean = state["exp_avg"].lerp_(grad, 1 - beta1)
        second = state["exp_avg_sq"].lerp_(grad.square().sum(-1, keepdim=True), 1 - beta2)
        size = group["lr"] * (1 - beta2**t) ** 0.5 / (1 - beta1**t)
        size = size.to(rows.device, rows.dtype).view(*size.shape, 1, 1)
        velocity = -size * mean / (second + group["eps"]).sqrt()
        length, along = norm(velocity), unit(velocity)
        radial = (along * mean).sum(-1, keepdim=True)
        mean.sub_(radial * (length.sin() * rows + (1 - length.cos()) * along))
        return geodesic(rows, velocity)


def norm(rows: Tensor) -> Tensor:
    return torch.linalg.vector_norm(rows, dim=-1, keepdim=True)


def unit(rows: Tensor) -> Tensor:
    return rows / (norm(rows) + TINY)


def tangent(rows: Tensor, grad: Tensor, omega: float, clip: float) -> Tensor:
    """Returns the gradient with the pull towards orthogonality in the tangent space at unit `rows`, clipped by row."""
    if omega and rows.shape[-2] < rows.shape[-1]:
        grad = grad + 2 * omega * (rows @ rows.mT @ rows - rows)
    grad = grad - (rows * grad).sum(-1, keepdim=True) * rows
    return grad * (clip / norm(grad)).clamp(max=1.0) if clip else grad


def geodesic(rows: Tensor, velocity: Tensor) -> Tensor:
    """Returns where the great circles that leave unit `rows` with `velocity` are at time 1."""
    length = norm(velocity)
    return rows * length.cos() + unit(velocity) * length.sin()


def _on_manifold(param: Tensor, group: dict[str, Any]) -> bool:
    return group["manifold"] and param.ndim > 1 and param.numel() > 0
