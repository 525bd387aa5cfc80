"""What this room's optimizers share: state in at least float32, argument checks, checkpoints of other versions."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.optimizer import _default_to_fused_or_foreach

from optathlon.optimizers.kernels.dtypes import _HALF, state_dtype

Step = tuple[Tensor, Tensor, Tensor, dict[str, Any]]
"""Parameter, gradient to descend, weight in at least float32 and state, as `BaseOptimizer._each` gives them."""


class BaseOptimizer(torch.optim.Optimizer):
    """A torch optimizer whose state keeps its precision through checkpoints: of half-precision parameters float32."""

    renamed: dict[str, str] = {}  # noqa: RUF012
    """State keys of other implementations' checkpoints, and ours."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take back what `state_dict` gave, or that of the implementation this one replaces."""
        given: dict[str, Any] = {}  # what the hooks make of it
        handles = (
            self.register_load_state_dict_pre_hook(lambda _, made: given.update(made)),
            self.register_load_state_dict_post_hook(lambda _: self._keep_precision(given), prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for handle in handles:
                handle.remove()

    def _keep_precision(self, state_dict: dict[str, Any]) -> None:
        """The state as it was saved, under our names: torch has cast it to the parameters' dtype."""
        saved_ids = [i for group in state_dict["param_groups"] for i in group["params"]]
        params = [p for group in self.param_groups for p in group["params"]]
        for param, saved in zip(params, (state_dict["state"].get(i, {}) for i in saved_ids), strict=True):
            state = self.state.get(param, {})
            for theirs, ours in self.renamed.items():
                if theirs in state:
                    state[ours] = state.pop(theirs)
                    saved = {**saved, ours: saved[theirs]}
            if "step" in state and not isinstance(state["step"], Tensor):
                state["step"] = new_step(param, float(state["step"]), on_device=self.defaults.get("capturable", False))
            for key, value in saved.items():
                if isinstance(value, Tensor) and value.is_floating_point() and key in state and key != "step":
                    as_saved = value.ndim == 0 or param.is_complex()  # whose states may be real
                    dtype = value.dtype if as_saved else state_dtype(param)
                    state[key] = value.to(device=state[key].device, dtype=dtype, copy=True)

    def _closure_loss(self, closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            return None
        with torch.enable_grad():
            return closure()

    def _with_grad(self, group: dict[str, Any]) -> list[Tensor]:
        """The group's parameters that have a gradient; sparse ones are refused."""
        params = []
        for param in group["params"]:
            if (grad := param.grad) is not None:
                if grad.is_sparse:
                    raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
                params.append(param)
        return params

    def _each(self, group: dict[str, Any]) -> Iterator[Step]:
        """Parameter, gradient to descend, weight and state of each parameter that has a gradient and an element.

        Complex parameters come as real ones; gradient and weight are in the state's dtype and must not be written to.
        """
        for original in self._with_grad(group):
            param, grad = original, original.grad
            if grad is None or not param.numel():
                continue
            if param.is_complex():
                param, grad = as_real([param, grad])
            if group["maximize"]:
                grad = -grad
            weight = param
            if param.dtype in _HALF or grad.dtype != param.dtype:
                (weight,), (grad,) = full_precision([param], [grad])
            yield param, grad, weight, self.state[original]


def new_step(param: Tensor, value: float = 0.0, *, on_device: bool) -> Tensor:
    """A step counter as torch's own optimizers keep it: float32, on the host unless it must be captured."""
    return torch.tensor(value, dtype=torch.float32, device=param.device if on_device else None)


def increment(steps: list[Tensor]) -> None:
    """Add one to every counter; by a tensor on the host, or each addition would wrap the number anew."""
    if not torch.compiler.is_compiling() and steps[0].is_cpu:
        torch._foreach_add_(steps, torch.tensor(1.0), alpha=1.0)
    else:
        torch._foreach_add_(steps, 1)


def by_device_and_dtype(*lists: list[Tensor]) -> Iterator[tuple[list[int], list[list[Tensor]]]]:
    """The lists cut into parts of one device and dtype each, with the positions of their tensors."""
    if lists[0]:
        groups = torch.optim.Optimizer._group_tensors_by_device_and_dtype(list(lists), with_indices=True)  # pyright: ignore[reportArgumentType]
        for parts, indices in groups.values():
            yield list(indices), [[t for t in part if t is not None] for part in parts]


def zeros_like(param: Tensor) -> Tensor:
    """A zero state of `param`'s layout, in at least float32."""
    return torch.zeros_like(param, dtype=state_dtype(param), memory_format=torch.preserve_format)


def full_precision(params: Sequence[Tensor], grads: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Parameters and gradients in their states' dtype: themselves, or copies of what has another."""
    weights = [p.float() if p.dtype in _HALF else p for p in params]
    return weights, [g if g.dtype == w.dtype else g.to(w.dtype) for g, w in zip(grads, weights, strict=True)]


def as_real(tensors: Sequence[Tensor]) -> list[Tensor]:
    """The tensors themselves; complex ones as views with a last dimension of two."""
    return [torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in tensors]


def check(name: str, value: Any, low: float = 0.0, high: float | None = None) -> None:
    """ValueError unless low <= value, and value < high if there is one."""
    if not low <= value or (high is not None and not value < high):
        upper = "" if high is None else f" and below {high}"
        raise ValueError(f"Invalid {name}: {value} (must be at least {low}{upper})")


def check_lr(lr: float | Tensor, foreach: bool | None, capturable: bool) -> None:
    if isinstance(lr, Tensor):
        if foreach and not capturable:
            raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
        if lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
    check("learning rate", lr)


def prefers_foreach(params: Sequence[Tensor], lr: float | Tensor) -> bool:
    """Torch's rule where nobody chose: foreach for plain tensors on an accelerator, unless the rate is a tensor."""
    _, foreach = _default_to_fused_or_foreach(list(params), False, use_fused=False)
    plain = all(type(p) in (Tensor, torch.nn.Parameter) for p in params)
    return foreach and plain and not isinstance(lr, Tensor)


def check_implementation(foreach: bool | None, fused: bool | None, differentiable: bool) -> None:
    """RuntimeError where two implementations are asked for at once, as torch's own optimizers raise."""
    chosen = {"foreach": foreach, "fused": fused, "differentiable": differentiable}
    if sum(map(bool, chosen.values())) > 1:
        raise RuntimeError(f"`{'`, `'.join(k for k, v in chosen.items() if v)}` cannot be True together")
