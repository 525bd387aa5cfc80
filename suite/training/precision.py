"""Mixed precision, gradient clipping and the learning rate of one update."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def set_rate(group: dict[str, Any], factor: float) -> None:
    """lr = initial_lr × factor, absolute, so that no rate is ever scaled twice; without a rate nothing changes."""
    if "initial_lr" not in group:
        return
    rate = group["initial_lr"] * factor
    if isinstance(group["lr"], Tensor):
        group["lr"].fill_(rate)
    else:
        group["lr"] = rate


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager[object]:
    """Has the block compute in `precision`, of "fp32", "bf16" and "fp16"."""
    if precision == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype={"bf16": torch.bfloat16, "fp16": torch.float16}[precision])


def clip(parameters: Iterable[nn.Parameter], norm: float | None, value: float | None) -> None:
    """Clip the gradients to a `norm` of all together, and then each number to `value`; None leaves them."""
    if norm is not None:
        nn.utils.clip_grad_norm_(parameters, norm)
    if value is not None:
        nn.utils.clip_grad_value_(parameters, value)
