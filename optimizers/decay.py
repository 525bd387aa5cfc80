"""What a weight decay means: a paper's "1e-4" as coupled L2, as torch's decoupled argument, as shrink a step.

The common ground is the shrink: the fraction of a weight that one step takes away, once any momentum has settled.
For SGD with momentum m and coupled L2 it is lr wd / (1 - m); for torch's decoupled argument lr wd, times wd_ratio where
AdamP projects; for SGDP lr wd / (1 - m), times wd_ratio where it projects. Coupled L2 under Adam has none: the
gradient's scale divides it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from optathlon.optimizers.errors import OptimizerError, did_you_mean

CONVENTIONS = ("l2", "decoupled", "sgdp", "shrink")
CONVENTION_OF = {
    "sgd": "l2",
    "sgdp": "sgdp",
    "adamw": "decoupled",
    "adamp": "decoupled",
    "adarem": "decoupled",
    "adarem_s": "decoupled",
    "adafactor": "decoupled",
    "muon": "decoupled",
    "soap": "decoupled",
    "sam": "l2",
    "lion": "decoupled",
    "adabelief": "decoupled",
    "nt_asgd": "decoupled",  # and L2: without momentum they are one
}
"""Of the built-in optimizers that shrink weights by a fraction a step; Adam's kind of coupled decay does not."""


def shrink(weight_decay: float, convention: str, *, lr: float, momentum: float = 0.0, wd_ratio: float = 1.0) -> float:
    """The fraction of a weight that one step takes away.

    convention: "l2" (coupled, under SGD with `momentum`), "decoupled" (AdamW, AdamP, AdaRem), "sgdp" or "shrink".
    wd_ratio: AdamP's and SGDP's factor on projected, that is scale-invariant, weights; 1 for others. "l2" has none.
    """
    return weight_decay * _factor(convention, lr, momentum, wd_ratio)


def convert(
    weight_decay: float, source: str, target: str, *, lr: float, momentum: float = 0.0, wd_ratio: float = 1.0
) -> float:
    """The `target` convention's weight decay that shrinks as much as `weight_decay` in the `source` convention.

    momentum and wd_ratio: as in `shrink`, applied on both sides. OptimizerError if nothing could shrink as much.
    """
    fraction = shrink(weight_decay, source, lr=lr, momentum=momentum, wd_ratio=wd_ratio)
    factor = _factor(target, lr, momentum, wd_ratio)
    if factor == 0:
        raise OptimizerError(f"{target}: no weight decay shrinks anything at lr = {lr!r} and wd_ratio = {wd_ratio!r}")
    return fraction / factor


def readings(name: str, weight_decay: float, hyperparameters: Mapping[str, Any]) -> dict[str, float]:
    """What a paper's `weight_decay` for the optimizer `name` may mean; {} where the optimizer shrinks by no fraction.

    hyperparameters: its resolved ones. "shrink_if_argument": the fraction that a step takes away if it is the argument;
    "argument_if_shrink": the argument to pass if it is that fraction; with a wd_ratio, both also "_projected".
    """
    if name not in CONVENTION_OF:
        return {}
    convention = CONVENTION_OF[name]
    at = {"lr": hyperparameters["lr"], "momentum": hyperparameters.get("momentum", 0.0) if name != "muon" else 0.0}
    ratios = {"": 1.0} | ({"_projected": hyperparameters["wd_ratio"]} if "wd_ratio" in hyperparameters else {})
    found: dict[str, float] = {}
    for suffix, ratio in ratios.items():
        found[f"shrink_if_argument{suffix}"] = shrink(weight_decay, convention, wd_ratio=ratio, **at)
        found[f"argument_if_shrink{suffix}"] = convert(weight_decay, "shrink", convention, wd_ratio=ratio, **at)
    return found


def formula(name: str) -> str | None:
    """What a step takes of a weight under the optimizer `name`, in words; None where it takes no fixed fraction."""
    convention = CONVENTION_OF.get(name)
    if convention is None:
        return None
    ratio = ", times wd_ratio where projected" if name in ("adamp", "sgdp") else ""
    return {
        "l2": "weight_decay * lr / (1 - momentum), once the momentum has settled",
        "decoupled": f"weight_decay * lr{ratio}",
        "sgdp": f"weight_decay * lr / (1 - momentum){ratio}",
    }[convention]


def _factor(convention: str, lr: float, momentum: float, wd_ratio: float) -> float:
    if convention not in CONVENTIONS:
        raise OptimizerError(f"unknown weight-decay convention {convention!r}{did_you_mean(convention, CONVENTIONS)}")
    for name, value in (("lr", lr), ("wd_ratio", wd_ratio)):
        if not (math.isfinite(value) and value >= 0):
            raise OptimizerError(f"{name} = {value!r} must be finite and at least 0")
    if not 0 <= momentum < 1:
        raise OptimizerError(f"momentum = {momentum!r} must be at least 0 and below 1")
    return {
        "l2": lr / (1 - momentum),
        "decoupled": lr * wd_ratio,
        "sgdp": lr * wd_ratio / (1 - momentum),
        "shrink": 1.0,
    }[convention]
