"""Converts a weight decay between its conventions: coupled L2, torch's decoupled argument, SGDP's, shrink per step.

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
    """Returns the fraction of a weight that one step takes away.

    convention: "l2" (coupled, under SGD with `momentum`), "decoupled" (AdamW, AdamP, AdaRem), "sgdp" or "shrink".
    wd_ratio: AdamP's and SGDP's factor on projected, that is scale-invariant, weights; 1 for others. "l2" has none.
    """
    return weight_decay * _factor(convention, lr, momentum, wd_ratio)


def convert(
    weight_decay: float, source: str, target: str, *, lr: float, momentum: float = 0.0, wd_ratio: float = 1.0
) -> float:
    """Returns the `target` convention's weight decay that shrinks as much as `weight_decay` of the `source` convention.

    momentum and wd_ratio: as in `shrink`, applied on both sides. Raises OptimizerError if none shrinks as much.
    """
    fraction = shrink(weight_decay, source, lr=lr, momentum=momentum, wd_ratio=wd_ratio)
    factor = _factor(target, lr, momentum, wd_ratio)
    if factor == 0:
        raise OptimizerError(f"{target}: no weight decay shrinks anything at lr = {lr!r} and wd_ratio = {wd_ratio!r}")
    return fraction / factor


def readings(name: str, weight_decay: float, hyperparameters: Mapping[str, Any]) -> dict[str, float]:
    """Returns what a paper's `weight_decay` for the optimizer `name` may mean; {} if it shrinks by no fixed fraction.

    hyperparameters: its resolved ones. "shrink_if_argument": the fraction that a step takes away if it is the argument;
    "argument_if_shrink": the argument to pass if it is that fraction; with a wd_ratio, both also "_projected".
    """
    if name not in CONVENTION_OF:
        return {}
    convention = CONVENTION_OF[name]
    # Muon's decay does not pass through its momentum.
    momentum = hyperparameters.get("momentum", 0.0) if name != "muon" else 0.0
    rates = {"lr": hyperparameters["lr"], "momentum": momentum}
    ratios = {"": 1.0} | ({"_projected": hyperparameters["wd_ratio"]} if "wd_ratio" in hyperparameters else {})
    meanings: dict[str, float] = {}
    for suffix, ratio in ratios.items():
        meanings[f"shrink_if_argument{suffix}"] = shrink(weight_decay, convention, wd_ratio=ratio, **rates)
        meanings[f"argument_if_shrink{suffix}"] = convert(weight_decay, "shrink", convention, wd_ratio=ratio, **rates)
    return meanings


def formula(name: str) -> str | None:
    """Words what a step of the optimizer `name` takes of a weight; returns None where that is no fixed fraction."""
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
