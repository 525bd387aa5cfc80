"""A device that stands for a GPU where there is none: torch's "meta" one, which computes nothing and has no numbers.

What would have the host wait for a GPU is seen all the same, and where a number is asked for, torch raises an error.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

DEVICE = torch.device("meta")


class Waits(TorchDispatchMode):
    """Notes each operator for which the host would wait: copies to and from the device that are not asynchronous, and
    what reads a number or is of a size that the device alone knows."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.__name__.partition(".")[0]
        if name == "_to_copy":
            across = torch.device(kwargs.get("device", args[0].device)).type != args[0].device.type
            if across and not kwargs.get("non_blocking"):
                self.seen.append(f"copy of {tuple(args[0].shape)} from {args[0].device}")
        elif name == "copy_":
            across = args[0].device.type != args[1].device.type
            if across and not (kwargs.get("non_blocking") or (len(args) > 2 and args[2])):
                self.seen.append(f"copy of {tuple(args[1].shape)} from {args[1].device}")
        elif name in ("_local_scalar_dense", "nonzero", "masked_select", "equal") and args[0].device == DEVICE:
            self.seen.append(name)
        elif name == "index" and any(i is not None and i.dtype == torch.bool and i.device == DEVICE for i in args[1]):
            self.seen.append("index by a mask")
        return func(*args, **kwargs)
