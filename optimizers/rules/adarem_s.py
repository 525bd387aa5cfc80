"""AdaRem-S: AdaRem with weights kept on a sphere.

As one would write it on a board, for the weights W on the sphere, from W <- radius W / |W| and alpha = |W| / radius:

    W <- AdaRem's step, with lr / alpha^2 in place of lr for the gradient      # without slr: lr
    alpha <- alpha |W| / radius
    W <- radius W / |W|
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import ParamsT

from optathlon.optimizers.kernels import sharded
from optathlon.optimizers.kernels.tensor_lists import norm_in_double
from optathlon.optimizers.rules.adarem import AdaRem


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

    kept_options = (*AdaRem.kept_options, "sphere")
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
        options = {"sphere": sphere, "radius": radius, "slr": slr, "per_tensor": per_tensor}
        self._constructed = False
        super().__init__(
            params, lr, beta, lam, eps, weight_decay,
            eps_mode=eps_mode, global_max=global_max, foreach=foreach, maximize=maximize, fused=fused, **options,
        )  # fmt: skip
        self._constructed = True
        with torch.no_grad():
            for group, params_ in self._spheres():
                alpha = _norm(params_) / group["radius"]
                if not alpha > 0:
                    raise ValueError("weights of norm 0 cannot be put on a sphere; leave them out of it")
                for param, part in zip(params_, sharded.local(params_), strict=True):
                    self.state[param]["alpha"] = alpha.clone()
                    part.div_(alpha)

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
            for param, part in zip(params, sharded.local(params), strict=True):
                self.state[param]["alpha"].mul_(ratio)
                part.div_(ratio)

    def _rates(self, group: dict[str, Any], states: Sequence[dict[str, Any]]) -> list[Any]:
        if not (group["sphere"] and group["slr"]):
            return super()._rates(group, states)
        return [(group["lr"] / state["alpha"].square()).to(state["exp_avg"].dtype) for state in states]

    def _spheres(self) -> list[tuple[dict[str, Any], list[Tensor]]]:
        """Returns each sphere's options and weights."""
        groups = [group for group in self.param_groups if group["sphere"]]
        per_tensor = [(g, [p]) for g in groups if g["per_tensor"] for p in g["params"] if p.numel()]
        shared = [(g, p) for g in groups if not g["per_tensor"] for p in g["params"] if p.numel()]
        return per_tensor + ([(shared[0][0], [p for _, p in shared])] if shared else [])


def _norm(tensors: list[Tensor]) -> Tensor:
    """Returns the norm of all tensors concatenated, in float64: alpha is a product over all steps."""
    squares = [norm_in_double(t).square() for t in sharded.local(tensors)]
    squares = [square.to(squares[0].device) for square in squares]
    spread = [sharded.holders(t) for t in tensors]
    return torch.stack(sharded.sums(squares, spread) if any(spread) else squares).sum().sqrt()
