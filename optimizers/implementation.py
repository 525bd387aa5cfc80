"""Chooses the implementation by which an optimizer steps, the fastest that is proven equal to the loop, and tells which
it took."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import importlib.util
from collections import Counter
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import _default_to_fused_or_foreach
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices

from optathlon.optimizers.kernels.tensor_lists import is_dense_by_rows


def arguments(factory: Any, offered: tuple[str, ...], implementation: str, params: list[Tensor]) -> dict[str, bool]:
    """Returns the arguments foreach and fused with which a `factory` over `params` steps by `implementation`.

    offered: what it has, of "loop", "foreach" and "fused". implementation: one of these, or "auto".
    """
    if implementation == "auto":
        implementation = _fastest(offered, params, chooses_per_tensor=hasattr(factory, "implementations"))
    return {name: name == implementation for name in ("foreach", "fused") if name in offered}


def _fastest(offered: tuple[str, ...], params: list[Tensor], chooses_per_tensor: bool) -> str:
    # This room's rules leave each tensor that no kernel takes to the plain implementation; torch's raise an error.
    possible = _triton_where_needed(params) if chooses_per_tensor else all(map(_torch_can_fuse, params))
    if "fused" in offered and possible:
        return "fused"
    # Foreach saves launches on an accelerator; on the CPU its temporaries leave the caches, and the loop is faster.
    _, foreach = _default_to_fused_or_foreach(params, differentiable=False, use_fused=False)
    return "foreach" if foreach and "foreach" in offered else "loop"


def _triton_where_needed(params: list[Tensor]) -> bool:
    return not any(p.is_cuda for p in params) or importlib.util.find_spec("triton") is not None


def _torch_can_fuse(param: Tensor) -> bool:
    """Whether torch's fused kernels step this weight as the loop does.

    In half precision they round less often than the loop, and weights with gaps have gradients of another layout,
    which they read in the wrong order.
    """
    return (
        type(param) in (Tensor, torch.nn.Parameter)
        and param.dtype in (torch.float32, torch.float64)
        and param.device.type in _get_fused_kernels_supported_devices()
        and is_dense_by_rows(param)
    )


def guard(optimizer: torch.optim.Optimizer) -> None:
    """Prepares an optimizer for fused kernels that were chosen without having seen a gradient.

    Also one that is built to step otherwise: a run that it continues may have begun with them.
    """
    if hasattr(optimizer, "implementations"):  # it looks at each gradient in each step
        return
    # Else a gradient scaler would hand an overflow to the kernel, instead of skipping the step: a class laid over
    # this one, such as Lookahead, would count a step that was none.
    optimizer._step_supports_amp_scaling = False  # pyright: ignore[reportAttributeAccessIssue]

    looked = False

    def leave_fused_where_gradients_do_not_fit(*_: Any) -> None:
        nonlocal looked
        if looked:  # not removed, as torch goes through the hooks of a step in the dictionary itself
            return
        pairs = [(p, p.grad) for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if pairs:
            if not all(_fits(grad, param) for param, grad in pairs):
                for group in optimizer.param_groups:
                    group["fused"] = False
            looked = True

    optimizer.register_step_pre_hook(leave_fused_where_gradients_do_not_fit)
    if isinstance(optimizer, torch.optim.SGD):
        _guard_latecomers(optimizer)


def _guard_latecomers(optimizer: torch.optim.SGD) -> None:
    """Has the loop take each step in which some weights get their first gradient and others have momentum already.

    This happens where a backbone is frozen at first. torch's fused SGD raises a TypeError then: it expects the first
    step of all its weights at once.
    """
    by_loop: list[dict[str, Any]] = []

    def leave_fused(*_: Any) -> None:
        for group in optimizer.param_groups:
            if group["fused"] and group["momentum"] != 0:
                begun = {"momentum_buffer" in optimizer.state.get(p, {}) for p in group["params"] if p.grad is not None}
                if len(begun) == 2:
                    group["fused"] = False
                    by_loop.append(group)

    def come_back(*_: Any) -> None:  # at once, so that a checkpoint holds what the run began with
        while by_loop:
            by_loop.pop()["fused"] = True

    optimizer.register_step_pre_hook(leave_fused)
    optimizer.register_step_post_hook(come_back)


def _fits(grad: Tensor, param: Tensor) -> bool:
    """Whether a fused kernel of torch reads `grad` right. Autograd keeps a gradient's layout: the first one tells."""
    return not grad.is_sparse and grad.dtype == param.dtype and grad.stride() == param.stride() and not grad.is_neg()


def in_use(optimizer: torch.optim.Optimizer) -> dict[str, int]:
    """Returns how many parameters each implementation steps: {"fused (C++)": 160, "loop": 1}."""
    if hasattr(optimizer, "implementations"):
        return optimizer.implementations()  # pyright: ignore[reportAttributeAccessIssue]
    counts: Counter[str] = Counter()
    for group in optimizer.param_groups:
        _, by_torchs_rule = _default_to_fused_or_foreach(group["params"], differentiable=False, use_fused=False)
        foreach = group.get("foreach", False)
        foreach = by_torchs_rule if foreach is None else foreach
        name = "fused (torch)" if group.get("fused") else "foreach" if foreach else "loop"
        counts[name] += len(group["params"])
    return dict(counts)
