"""Mixed precision, gradient clipping and the learning rate of one update."""

from __future__ import annotations

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


def autocast(device: torch.device, precision: str) -> torch.autocast:
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(
        device.type, dtype=dtype if precision != "fp32" else torch.bfloat16, enabled=precision != "fp32"
    )


def clip(net: nn.Module, norm: float | None, value: float | None) -> None:
    if norm is not None:
        nn.utils.clip_grad_norm_(net.parameters(), norm)
    if value is not None:
        nn.utils.clip_grad_value_(net.parameters(), value)
