"""AdaRem: each coordinate's rate shrinks where the gradient turns against its past; AdaRem-S: the same on a sphere."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optimizers import fused as kernels
from optimizers import sharded
from optimizers._base import (
    BaseOptimizer,
    by_device_and_dtype,
    check,
    check_implementation,
    check_lr,
    prefers_foreach,
    state_dtype,
    zeros_like,
)

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
            limits = [
                each.state["largest"] if largest is None or not group["global_max"] else largest for each in steps
            ]
            here = [i for i, each in enumerate(steps) if each.mean.numel()]
            self._move([steps[i] for i in here], [limits[i] for i in here], group)
        _share_largest([each for _, steps in prepared for each in steps if each.spread])
        self._constrain()
        return loss

    def _prepared(self, group: dict[str, Any]) -> list[_Step]:
        steps = []
        for param, grad, weight, state in self._each(group):
            if "exp_avg" not in state:
                state["exp_avg"] = zeros_like(param)
            if not (spread := sharded.holders(param)):
                steps.append(_Step(param, grad, weight, state["exp_avg"], state, spread))
                continue
            own, grad, weight, mean = sharded.local([param, grad, weight, state["exp_avg"]])
            steps.append(_Step(own, grad, weight, mean, state, spread))
        unknown = [each for each in steps if "largest" not in each.state]
        for each in unknown:
            each.state["largest"] = _largest(each.mean)
        _share_largest([each for each in unknown if each.spread])
        return steps

    def _move(self, steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> None:
        foreach = group["foreach"]
        if foreach is None:
            foreach = not group["fused"] and prefers_foreach([s.param for s in steps], group["lr"])
        if foreach:
            self._multi(steps, limits, group)
            return
        rest = list(range(len(steps)))
        if group["fused"]:
            lists = [[s.param for s in steps], [s.grad for s in steps], [None] * len(steps)]
            means = [s.mean for s in steps]
            on_gpu = kernels.takes_on_gpu(*lists, means)
            on_cpu = kernels.takes(lists[0], lists[2], means)
            rest = [i for i in rest if not (on_gpu[i] or on_cpu[i])]
            self._dispatch(self._gpu, on_gpu, steps, limits, group)
            self._dispatch(
                self._fused, [c and not g for c, g in zip(on_cpu, on_gpu, strict=True)], steps, limits, group
            )
        for i in rest:
            self._single(steps[i], limits[i], group)

    @staticmethod
    def _dispatch(
        run: Callable[..., None], taken: list[bool], steps: list[_Step], limits: list[Tensor], group: dict[str, Any]
    ) -> None:
        kinds = [(s.param.device, s.param.dtype) if t else None for s, t in zip(steps, taken, strict=True)]
        for kind in dict.fromkeys(k for k in kinds if k):
            own = [i for i, k in enumerate(kinds) if k == kind]
            run([steps[i] for i in own], [limits[i] for i in own], group)

    def _single(self, each: _Step, largest: Tensor, group: dict[str, Any]) -> None:
        mean = each.mean
        rates = agreement(each.grad, mean, largest, group["eps"], group["eps_mode"])
        rates.mul_(group["lam"] ** group["epoch"]).add_(1.0)
        change = rates.mul_(each.grad).mul_(self._rate(group, each.state))
        if group["weight_decay"]:
            change.add_(each.weight * (group["lr"] * group["weight_decay"]))
        each.param.sub_(change)
        mean.lerp_(each.grad, 1 - group["beta"])
        each.state["largest"] = _largest(mean)

    def _multi(self, steps: list[_Step], limits: list[Tensor], group: dict[str, Any]) -> None:
        means = [s.mean for s in steps]
        for indices, (params, own) in by_device_and_dtype([s.param for s in steps], means):
            grads = [steps[i].grad for i in indices]
            changes = _agreements(grads, own, [limits[i] for i in indices], group["eps"], group["eps_mode"])
            torch._foreach_mul_(changes, group["lam"] ** group["epoch"])
            torch._foreach_add_(changes, 1.0)
            torch._foreach_mul_(changes, grads)
            torch._foreach_mul_(changes, _numbers_or_tensors([self._rate(group, steps[i].state) for i in indices]))
            torch._foreach_add_(changes, [steps[i].weight for i in indices], alpha=group["lr"] * group["weight_decay"])
            torch._foreach_sub_(params, changes)
            torch._foreach_lerp_(own, grads, 1 - group["beta"])
            for i, largest in zip(indices, torch._foreach_norm(own, torch.inf), strict=True):
                steps[i].state["largest"] = largest

    def _fused(self, steps: list[_Step], largest: list[Tensor], group: dict[str, Any]) -> None:
        rates, limits = [float(self._rate(group, s.state)) for s in steps], [limit.item() for limit in largest]
        tops = kernels.adarem(*_tensors(steps), rates, limits, **_options(group))
        for each, top in zip(steps, tops, strict=True):
            each.state["largest"].fill_(top)

    def _gpu(self, steps: list[_Step], largest: list[Tensor], group: dict[str, Any]) -> None:
        from optimizers import gpu

        rates = [self._rate(group, s.state) for s in steps]
        for each, top in zip(steps, gpu.adarem(*_tensors(steps), rates, largest, **_options(group)), strict=True):
            each.state["largest"] = top

    def _constrain(self) -> None:
        """Puts the weights back to where they belong."""

    def _rate(self, group: dict[str, Any], state: dict[str, Any]) -> float | Tensor:
        """What the damped gradient is multiplied by; the decay always has the group's lr."""
        return group["lr"]


class _Step(NamedTuple):
    param: Tensor
    grad: Tensor
    weight: Tensor
    mean: Tensor
    state: dict[str, Any]
    spread: tuple[Any, ...]
    """Who has the other parts of these tensors, which are then this process's."""


def _tensors(steps: list[_Step]) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    return [s.param for s in steps], [s.grad for s in steps], [s.mean for s in steps]


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


def _numbers_or_tensors(rates: list[float | Tensor]) -> Any:
    """One kind for all, as foreach operators want it."""
    return rates if all(isinstance(r, Tensor) for r in rates) else [float(r) for r in rates]


def _largest(mean: Tensor) -> Tensor:
    return torch.linalg.vector_norm(mean, torch.inf) if mean.numel() else mean.new_zeros(())


def _share_largest(steps: list[_Step]) -> None:
    """Makes each `largest` that of the whole tensor, where every process has its part's."""
    if steps:
        found = sharded.largest([each.state["largest"] for each in steps], [each.spread for each in steps])
        for each, value in zip(steps, found, strict=True):
            each.state["largest"] = value


def _largest_of_all(steps: list[_Step]) -> Tensor:
    """On the first one's device: a tensor without dimensions goes with those of any other."""
    found = [each.state["largest"] for each in steps]
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

    def _rate(self, group: dict[str, Any], state: dict[str, Any]) -> float | Tensor:
        if not (group["sphere"] and group["slr"]):
            return group["lr"]
        return (group["lr"] / state["alpha"].square()).to(state["exp_avg"].dtype)

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
