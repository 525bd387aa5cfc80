"""Parameter groups from facts on parameters (tags) and options by tag ("norm.weight_decay", "proxy.lr_scale")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from optathlon.optimizers import OptimizerSpec
from optathlon.optimizers.spec import LR_SCALE
from optathlon.suite.errors import UsageError


def groups(
    net: nn.Module,
    tags: Mapping[str, set[str]],
    spec: OptimizerSpec,
    protocol_tags: Mapping[str, Any],
    hyperparameters: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Torch parameter groups of `net`: parameters with the same options share one, in order of first appearance.

    Options by tag come from the protocol (where the optimizer has such a hyperparameter), then from the setting, which
    wins. Raises UsageError if two tags disagree on one parameter.
    """
    known = {*spec.hyperparameters} | ({LR_SCALE} if "lr" in spec.hyperparameters else set())
    options = {k: v for k, v in protocol_tags.items() if k.partition(".")[2] in known}
    options.update({k: v for k, v in hyperparameters.items() if "." in k})
    made: dict[tuple[tuple[str, Any], ...], dict[str, Any]] = {}
    for name, parameter in net.named_parameters():
        own_options = _options(name, tags[name], options)
        group = made.setdefault(tuple(sorted(own_options.items())), {"params": [], **own_options})
        group["params"].append(parameter)
    for group in made.values():
        if (scale := group.pop(LR_SCALE, None)) is not None:
            group["lr"] = group.get("lr", hyperparameters["lr"]) * scale
    return list(made.values())


def _options(parameter: str, tags: set[str], options: Mapping[str, Any]) -> dict[str, Any]:
    chosen: dict[str, tuple[Any, str]] = {}
    for key, value in options.items():
        tag, _, name = key.partition(".")
        if tag not in tags:
            continue
        if name in chosen and chosen[name][0] != value:
            raise UsageError(f"{parameter}: {key} = {value!r} contradicts {chosen[name][1]} = {chosen[name][0]!r}")
        chosen[name] = (value, key)
    return {name: value for name, (value, _) in chosen.items()}
