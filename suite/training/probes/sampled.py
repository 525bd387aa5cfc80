"""Quantities of a single update. Each function takes a `Step` and returns values by the name of their curve."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from optathlon.suite.training.probes.step import Step, row_norms, rows

DELTAS = (1.0, 0.2, 0.1, 0.05, 0.02, 0.01)
"""Of AdamP's table B.1."""
EPS = 1e-8


def norms(step: Step) -> dict[str, float]:
    """What every run records.

    weight_norm: the norm of all weights as one vector. scale_invariant_norm: the mean norm of a row (a filter) of the
    scale-invariant weights, before the update, as in AdamP's tables 1 and H.6. effective_step: the mean over these rows
    of the change of the normalized row, ‖w'/‖w'‖ − w/‖w‖‖ (AdamP, section 2.2); over the rows of all matrices where no
    weight is known to be scale-invariant.
    """
    values = {"weight_norm": norm(list(step.before.values()))}
    if step.directions:
        values["effective_step"] = float(_turned(step).mean())
    if step.invariant:
        values["scale_invariant_norm"] = float(row_norms(step.before[n] for n in sorted(step.invariant)).mean())
    return values


def gradient_norm(step: Step) -> dict[str, float]:
    return {"gradient_norm": norm(list(step.grads.values()))} if step.grads else {}


def update_ratio(step: Step) -> dict[str, float]:
    """‖Δw‖/‖w‖ of all weights."""
    update = torch._foreach_sub(list(step.after.values()), list(step.before.values()))
    old = norm(list(step.before.values()))
    return {"update_ratio": norm(update) / old if old else math.inf}


def angular_update(step: Step) -> dict[str, float]:
    """The mean angle between a row before and after; a chord c of the unit sphere spans 2 asin(c/2)."""
    if not step.directions:
        return {}
    return {"angular_update": float((2 * torch.asin((_turned(step) / 2).clamp(max=1))).mean())}


def gradient_cosine(step: Step) -> dict[str, float]:
    """|cos| of gradient and weight, each tensor as one vector: AdamP's appendix C tells the two kinds apart by it."""
    invariant, others = _tested(step)
    cosines = {}
    if invariant:
        cosines["gradient_cosine/invariant"] = max(_whole_cosine(step, name) for name in invariant)
    if others:
        cosines["gradient_cosine/others"] = min(_whole_cosine(step, name) for name in others)
    return cosines


def detection(step: Step) -> dict[str, float]:
    """Per δ the share of scale-invariant tensors that pass AdamP's test, and the share of the others that do not.

    The test is that of equation 11 and the released code: by channel, then by layer (AdamP, table B.1).
    """
    invariant, others = _tested(step)
    kinds = {"invariant": (invariant, True), "others": (others, False)}
    return {
        f"detection/{kind}/{delta:g}": sum(_detected(step, name, delta) == right for name in names) / len(names)
        for kind, (names, right) in kinds.items()
        if names
        for delta in DELTAS
    }


def projected_share(step: Step) -> dict[str, float]:
    """Of the single weights that the optimizer may project, the share that it did."""
    size = {name: step.before[name].numel() for name in step.projected}
    if not (total := sum(size.values())):
        return {}
    return {"projected_share": sum(size[name] for name, was in step.projected.items() if was) / total}


def layers(step: Step) -> dict[str, float]:
    """`norms` of each of the network's outermost modules by itself."""
    values: dict[str, float] = {}
    for layer in dict.fromkeys(name.partition(".")[0] for name in step.before):
        inside = {name for name in step.before if name.partition(".")[0] == layer}
        part = Step(
            before={name: step.before[name] for name in step.before if name in inside},
            after={name: step.after[name] for name in step.after if name in inside},
            grads={},
            invariant=step.invariant & inside,
        )
        values |= {f"{layer}/{name}": value for name, value in norms(part).items()}
    return values


SAMPLED: dict[str, Callable[[Step], dict[str, float]]] = {
    "gradient_norm": gradient_norm,
    "gradient_cosine": gradient_cosine,
    "detection": detection,
    "projected_share": projected_share,
    "update_ratio": update_ratio,
    "angular_update": angular_update,
    "layers": layers,
}


def norm(tensors: Sequence[Tensor]) -> float:
    """The norm of all tensors as one vector, in float64; a complex element counts with both its parts."""
    # By foreach: on a GPU one launch instead of one per tensor, and one wait in all.
    norms = torch._foreach_norm([torch.view_as_real(t) if t.is_complex() else t for t in tensors], dtype=torch.float64)
    return float(torch.stack([n.to(norms[0].device) for n in norms]).square().sum().sqrt())


def _turned(step: Step) -> Tensor:
    """Of each row in `directions` the chord between its directions before and after; a zero row has not turned.

    By ‖a − b‖² = (‖a‖ − ‖b‖)² + ‖a‖ ‖b‖ ‖a/‖a‖ − b/‖b‖‖², which needs norms only and loses no digit where a row turns
    little.
    """
    before, after = [step.before[name] for name in step.directions], [step.after[name] for name in step.directions]
    old, new, way = (row_norms(weights) for weights in (before, after, torch._foreach_sub(after, before)))
    product = old * new
    square = (way.square() - (new - old).square()).clamp(min=0) / torch.where(product > 0, product, 1.0)
    one_is_zero = (old > 0) != (new > 0)
    return torch.where(one_is_zero, 1.0, square.sqrt())


def _tested(step: Step) -> tuple[list[str], list[str]]:
    """Names of what AdamP's test is asked of: tensors of two or more dimensions, invariant ones and others."""
    tested = [name for name in step.grads if step.before[name].ndim > 1]
    return [n for n in tested if n in step.invariant], [n for n in tested if n not in step.invariant]


def _detected(step: Step, name: str, delta: float) -> bool:
    weight = step.before[name]
    by_channel = float(_cosines(rows(step.grads[name]).double(), rows(weight).double()).max())
    return by_channel < delta / math.sqrt(weight[0].numel()) or _whole_cosine(step, name) < delta / math.sqrt(
        weight.numel()
    )


def _whole_cosine(step: Step, name: str) -> float:
    gradient, weight = (t[name].detach().double().reshape(1, -1) for t in (step.grads, step.before))
    return float(_cosines(gradient, weight))


def _cosines(gradients: Tensor, weights: Tensor) -> Tensor:
    """|cos| by row, with norms of at least EPS, as in the released code."""
    lengths = (torch.linalg.vector_norm(t, dim=1).clamp_min(EPS) for t in (gradients, weights))
    return (gradients * weights).sum(1).abs() / math.prod(lengths)
