"""AdaRem: each coordinate's rate shrinks where the gradient turns against its past; AdaRem-S: the same on a sphere."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels import cpu as kernels
from optathlon.optimizers.kernels import dispatch, sharded
from optathlon.optimizers.kernels.dtypes import state_dtype
from optathlon.optimizers.rules._base import (
    BaseOptimizer,
    by_device_and_dtype,
    check,
    check_implementation,
    check_lr,
    prefers_foreach,
    zeros_like,
)
from optathlon.optimizers.rules._steps import numbers_or_tensors

EPS_MODES = ("literal", "relative")


class AdaRem(BaseOptimizer):
    """Gradient descent at rates lr (1 + lam^epoch b), b in [-1, 1] the past mean gradient along this one's sign.

    b = g m / (|g| max|m| + eps) with the m before this step, so that the first step is plain SGD. max|m| is taken over
    each tensor, or with global_max over all. The literal eps stands beside a product of two gradients: where those are
    of size 1e-5, b vanishes. eps_mode "relative" has sign(g) m / (max|m| + eps) instead. The decay is decoupled.

    Source: AdaRem paper, Algorithm 1, equations 1 and 2; lam is applied once an epoch (section 4.1.1).
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        beta: float = 0.999,
        lam: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        eps_mode: str = "literal",
        global_max: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
        **more: Any,
    ) -> None:
        check_lr(lr, foreach, False)
        check_implementation(foreach, fused, False)
        super().__init__(
            params,
            {
                "lr": lr,
                "beta": beta,
                "lam": lam,
                "eps": eps,
                "weight_decay": weight_decay,
                "eps_mode": eps_mode,
                "global_max": global_max,
                "foreach": foreach,
                "maximize": maximize,
                "fused": fused,
                "epoch": 0,
                **more,
            },
        )

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        group = self.param_groups[-1]
        check("beta", group["beta"], high=1.0)
        check("weight_decay", group["weight_decay"])
        if not 0.0 <= group["lam"] <= 1.0:
            raise ValueError(f"Invalid lam: {group['lam']} (must be from 0 to 1)")
        if not group["eps"] > 0.0:
            raise ValueError(f"Invalid eps: {group['eps']} (must be above 0: the first step would be 0 / 0)")
        if group["eps_mode"] not in EPS_MODES:
            raise ValueError(f"Invalid eps_mode: {group['eps_mode']!r} (must be one of {', '.join(EPS_MODES)})")

    def epoch_end(self, epoch: int, score: float | None = None) -> None:
        """To be called after each epoch, counted from 0: from now on the exponent of lam is `epoch` + 1."""
        for group in self.param_groups:
            group["epoch"] = epoch + 1

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """One update; returns the closure's loss."""
        loss = self._closure_loss(closure)
        prepared = [(group, self._prepared(group)) for group in self.param_groups]
        largest = None
        if any(group["global_max"] for group in self.param_groups):
            largest = _largest_of_all([each for _, steps in prepared for each in steps])
        for group, steps in prepared:
            here = [each for each in steps if each[3].numel()]
            if not here:
                continue
            states = [each[4] for each in here]
            if largest is not None and group["global_max"]:
                limits = [largest] * len(here)
            else:
                limits = [state["largest"] for state in states]
            for state, found in zip(states, self._move(here, limits, group), strict=True):
                state["largest"] = found
        _share_largest([each[4] for _, steps in prepared for each in steps])
        self._constrain()
        return loss

    def _prepared(self, group: dict[str, Any]) -> list[_Step]:
        steps = []
        for param, grad, weight, state in self._each(group):
            if "exp_avg" not in state:
                state["exp_avg"] = zeros_like(param)
            mean = state["exp_avg"]
            if sharded.holders(param):
                param, grad, weight, mean = sharded.local([param, grad, weight, mean])
            steps.append((param, grad, weight, mean, state))
        if unknown := [each for each in steps if "largest" not in each[4]]:
            for _, _, _, mean, state in unknown:
                state["largest"] = _largest(mean)
            _share_largest([state for *_, state in unknown])
        return steps

    def _move(self, steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> list[Any]:
        """Moves the weights and their means; returns the largest of each mean."""
        params, grads, _, means, _ = zip(*steps, strict=True)
        foreach = group["foreach"]
        if foreach is None:
            foreach = not group["fused"] and prefers_foreach(params, group["lr"])
        choices = []
        if group["fused"]:
            none = [None] * len(steps)
            choices = [
                (dispatch.takes_on_gpu(params, grads, none, means), functools.partial(self._gpu, group=group)),
                (kernels.takes(params, none, means), functools.partial(self._fused, group=group)),
            ]
        plain = functools.partial(self._multi if foreach else self._single, group=group)
        return dispatch.dispatch(choices, (params, steps, limits), plain)

    def _single(self, _: Any, steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> list[Tensor]:
        found = []
        rates = self._rates(group, [each[4] for each in steps])
        for (param, grad, weight, mean, _), limit, rate in zip(steps, limits, rates, strict=True):
            change = agreement(grad, mean, limit, group["eps"], group["eps_mode"])
            change.mul_(group["lam"] ** group["epoch"]).add_(1.0).mul_(grad).mul_(rate)
            if group["weight_decay"]:
                change.add_(weight * (group["lr"] * group["weight_decay"]))
            param.sub_(change)
            found.append(_largest(mean.lerp_(grad, 1 - group["beta"])))
        return found

    def _multi(self, params: list[Tensor], steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> Any:
        found = list(limits)
        rates = self._rates(group, [each[4] for each in steps])
        for indices, (own, means) in by_device_and_dtype(params, [each[3] for each in steps]):
            _, grads, weights, _, _ = map(list, zip(*(steps[i] for i in indices), strict=True))
            changes = _agreements(grads, means, [limits[i] for i in indices], group["eps"], group["eps_mode"])
            torch._foreach_mul_(changes, group["lam"] ** group["epoch"])
            torch._foreach_add_(changes, 1.0)
            torch._foreach_mul_(changes, grads)
            torch._foreach_mul_(changes, numbers_or_tensors([rates[i] for i in indices]))
            torch._foreach_add_(changes, weights, alpha=group["lr"] * group["weight_decay"])
            torch._foreach_sub_(own, changes)
            torch._foreach_lerp_(means, grads, 1 - group["beta"])
            for i, largest in zip(indices, torch._foreach_norm(means, torch.inf), strict=True):
                found[i] = largest
        return found

    def _fused(self, params: list[Tensor], steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> Any:
        _, grads, _, means, states = zip(*steps, strict=True)
        rates = [float(rate) for rate in self._rates(group, states)]
        limits = _as_scalars_of(means[0], limits)
        found = _as_scalars_of(means[0], [state["largest"] for state in states]) if group["global_max"] else limits
        kernels.adarem(params, grads, means, rates, limits, found, **_options(group))
        return found

    def _gpu(self, params: list[Tensor], steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> Any:
        from optathlon.optimizers.kernels import cuda

        _, grads, _, means, states = zip(*steps, strict=True)
        return cuda.adarem(params, grads, means, self._rates(group, states), limits, **_options(group))

    def _constrain(self) -> None:
        """Puts the weights back to where they belong."""

    def _rates(self, group: dict[str, Any], states: Sequence[dict[str, Any]]) -> list[Any]:
        """What each damped gradient is multiplied by; the decay always has the group's lr."""
        return [group["lr"]] * len(states)


_Step = tuple[Tensor, Tensor, Tensor, Tensor, dict[str, Any]]
"""Parameter, gradient, weight and mean, of sharded ones this process's parts; and the state."""


def _options(group: dict[str, Any]) -> dict[str, Any]:
    """Of the fused kernels."""
    return {
        "shrink": float(group["lr"] * group["weight_decay"]),
        "damping": group["lam"] ** group["epoch"],
        "beta": group["beta"],
        "eps": group["eps"],
        "relative": group["eps_mode"] == "relative",
    }


def agreement(grad: Tensor, mean: Tensor, largest: Tensor | float, eps: float, eps_mode: str) -> Tensor:
    """AdaRem's b: from -1, the gradient is against its past, to 1, it goes on; a new tensor."""
    if eps_mode == "relative":
        return grad.sign().mul_(mean).div_(largest + eps)
    return (grad * mean).div_(grad.abs().mul_(largest).add_(eps))


def _agreements(
    grads: list[Tensor], means: list[Tensor], largest: list[Tensor], eps: float, eps_mode: str
) -> list[Tensor]:
    """`agreement` of many tensors of one device and dtype."""
    limits = [limit.to(means[0].device) for limit in largest]
    if eps_mode == "relative":
        found = list(torch._foreach_sign(grads))
        torch._foreach_mul_(found, means)
        torch._foreach_div_(found, torch._foreach_add(limits, eps))
        return found
    found, denominators = list(torch._foreach_mul(grads, means)), list(torch._foreach_abs(grads))
    torch._foreach_mul_(denominators, limits)
    torch._foreach_add_(denominators, eps)
    torch._foreach_div_(found, denominators)
    return found


def _as_scalars_of(tensor: Tensor, values: Sequence[Tensor]) -> list[Tensor]:
    """The values on `tensor`'s device and of its dtype: a checkpoint may have brought others."""
    dtype, device = tensor.dtype, tensor.get_device()
    return [v if v.dtype == dtype and v.get_device() == device else v.to(tensor) for v in values]


def _largest(mean: Tensor) -> Tensor:
    return torch.linalg.vector_norm(mean, torch.inf) if mean.numel() else mean.new_zeros(())


def _share_largest(states: list[dict[str, Any]]) -> None:
    """Makes each `largest` that of the whole tensor, where every process has its part's."""
    if spread := [(state, who) for state in states if (who := sharded.holders(state["exp_avg"]))]:
        found = sharded.largest([state["largest"] for state, _ in spread], [who for _, who in spread])
        for (state, _), value in zip(spread, found, strict=True):
            state["largest"] = value


def _largest_of_all(steps: list[_Step]) -> Tensor:
    """On the first one's device: a tensor without dimensions goes with those of any other."""
    found = [each[4]["largest"] for each in steps]
    return torch.stack([v.to(found[0]) for v in found]).max() if found else torch.zeros(())


class AdaRemS(AdaRem):
    """AdaRem with the weights of groups that have `sphere` on a sphere, put back onto it after every step.

    sphere: whether a group's weights, which must be scale-invariant, are on it; the others take plain AdaRem.
    radius: of all of them concatenated, or with per_tensor of each.
    slr: the sphere rate lr / alpha^2 that mirrors the unconstrained training at lr, where alpha is the ratio of the
        unconstrained norm and the radius; without it the rate is lr.

    The weights are scaled to the radius at construction. The decay has the unscaled lr: then sphere and unconstrained
    training are the same trajectory.

    Source: AdaRem paper, Algorithm 2 and section 3.4.
    """

    _constructed = True

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor,
        beta: float = 0.999,
        lam: float = 0.999,
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        sphere: bool = False,
        radius: float = 10.0,
        slr: bool = True,
        per_tensor: bool = False,
        eps_mode: str = "literal",
        global_max: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        fused: bool | None = None,
    ) -> None:
        own = {"sphere": sphere, "radius": radius, "slr": slr, "per_tensor": per_tensor}
        self._constructed = False
        super().__init__(
            params, lr, beta, lam, eps, weight_decay,
            eps_mode=eps_mode, global_max=global_max, foreach=foreach, maximize=maximize, fused=fused, **own,
        )  # fmt: skip
        self._constructed = True
        with torch.no_grad():
            for group, params_ in self._spheres():
                alpha = _norm(params_) / group["radius"]
                if not alpha > 0:
                    raise ValueError("weights of norm 0 cannot be put on a sphere; leave them out of it")
                for param, own in zip(params_, sharded.local(params_), strict=True):
                    self.state[param]["alpha"] = alpha.clone()
                    own.div_(alpha)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        super().add_param_group(param_group)
        if not self.param_groups[-1]["radius"] > 0:
            raise ValueError(f"Invalid radius: {self.param_groups[-1]['radius']} (must be above 0)")
        if self._constructed and self.param_groups[-1]["sphere"]:
            raise ValueError("a group added later cannot be on the sphere: its radius is shared from the start")

    def _constrain(self) -> None:
        for group, params in self._spheres():
            if group["lr"] == 0 or all(p.grad is None for p in params):
                continue
            ratio = _norm(params) / group["radius"]
            for param, own in zip(params, sharded.local(params), strict=True):
                self.state[param]["alpha"].mul_(ratio)
                own.div_(ratio)

    def _rates(self, group: dict[str, Any], states: Sequence[dict[str, Any]]) -> list[Any]:
        if not (group["sphere"] and group["slr"]):
            return super()._rates(group, states)
        return [(group["lr"] / state["alpha"].square()).to(state["exp_avg"].dtype) for state in states]

    def _spheres(self) -> list[tuple[dict[str, Any], list[Tensor]]]:
        """Each sphere's options and weights."""
        groups = [group for group in self.param_groups if group["sphere"]]
        alone = [(g, [p]) for g in groups if g["per_tensor"] for p in g["params"] if p.numel()]
        shared = [(g, p) for g in groups if not g["per_tensor"] for p in g["params"] if p.numel()]
        return alone + ([(shared[0][0], [p for _, p in shared])] if shared else [])


def _norm(tensors: list[Tensor]) -> Tensor:
    """Norm of all of them concatenated, in float64: alpha is a product over all steps."""
    squares = [torch.linalg.vector_norm(t.to(state_dtype(t))).double().square() for t in sharded.local(tensors)]
    squares = [s.to(squares[0].device) for s in squares]
    spread = [sharded.holders(t) for t in tensors]
    return torch.stack(sharded.sums(squares, spread) if any(spread) else squares).sum().sqrt()
