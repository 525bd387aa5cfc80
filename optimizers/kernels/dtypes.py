"""Which data type an optimizer's state has."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import torch
from torch import Tensor

_HALF = (torch.float16, torch.bfloat16)


def state_dtype(param: Tensor) -> torch.dtype:
    return torch.float32 if param.dtype in _HALF else param.dtype
