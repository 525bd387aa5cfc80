"""The base of this room's optimizers: state in at least float32, and checkpoints of other versions and packages."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from optathlon.optimizers.kernels.assignment import Implementation, assign
from optathlon.optimizers.kernels.state import RowDims
from optathlon.optimizers.kernels.tensor_lists import HALF, as_real, full_precision, state_dtype


class Step(NamedTuple):
    """What a rule needs to step one parameter; complex ones come as real."""

    param: Tensor
    grad: Tensor
    """To descend, in the state's dtype; must not be written to."""
    weight: Tensor
    """The parameter in the state's dtype: itself, or a copy; must not be written to."""
    state: dict[str, Any]


class BaseOptimizer(torch.optim.Optimizer):
    """A torch optimizer whose state keeps its precision through checkpoints: of half-precision parameters float32."""

    renamed: ClassVar[dict[str, str]] = {}
    """By state key of other implementations' checkpoints, ours."""
    kernel_states: ClassVar[tuple[str, ...]] = ()
    """Keys of the states that a fused kernel writes to, which must be laid out as their parameter."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Gives groups of other versions the options they lack."""
        # torch adds `differentiable` to the defaults of every optimizer. Here only what the optimizer has may go from
        # the defaults into the groups: else a checkpoint would change by being loaded.
        defaults = dict((vars(self) | state)["defaults"])
        super().__setstate__(state)
        self.defaults = defaults
        for group in self.param_groups:
            for key, value in self.defaults.items():
                group.setdefault(key, value)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes back what `state_dict` gave, or that of the implementation this one replaces."""
        hooked: dict[str, Any] = {}  # what other pre-hooks made of it; ours is the last
        handles = (
            self.register_load_state_dict_pre_hook(lambda _, loaded: hooked.update(loaded)),
            self.register_load_state_dict_post_hook(lambda _: self._keep_precision(hooked), prepend=True),
        )
        try:
            super().load_state_dict(state_dict)
        finally:
            for handle in handles:
                handle.remove()

    def _keep_precision(self, state_dict: dict[str, Any]) -> None:
        """Puts back the state as it was saved, under our names: torch has cast it to the parameters' dtype."""
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

    def implementations(self) -> dict[str, int]:
        """Returns how many parameters each implementation steps, as the last step left them: {"fused (C++)": 3}."""
        counts: Counter[str] = Counter()
        for group in self.param_groups:
            for implementation, indices in self._assigned([p for p in group["params"] if p in self.state], group):
                counts[implementation.value] += len(indices)
        return dict(counts)

    def _assigned(self, params: Sequence[Tensor], group: dict[str, Any]) -> Iterator[tuple[Implementation, list[int]]]:
        """Yields each implementation with the positions of those of `params` that it steps; all must have a state."""
        return assign(
            as_real(params),
            [None] * len(params),
            [self._row_dims(p, group) for p in params],
            [as_real([self.state[p][key] for p in params]) for key in self.kernel_states],
            lr=group["lr"],
            foreach=group.get("foreach", False),
            fused=group.get("fused"),
            capturable=group.get("capturable", False),
            differentiable=group.get("differentiable", False),
        )

    def _row_dims(self, param: Tensor, group: dict[str, Any]) -> RowDims:
        """Returns the dimensions of `param` that make a row; None for rules that know no rows."""
        return None

    def _closure_loss(self, closure: Callable[[], Any] | None) -> Any:
        if closure is None:
            return None
        with torch.enable_grad():
            return closure()

    def _with_grad(self, group: dict[str, Any]) -> list[Tensor]:
        """Returns the group's parameters that have a gradient; raises RuntimeError for a sparse one."""
        params = []
        for param in group["params"]:
            if (grad := param.grad) is not None:
                if grad.is_sparse:
                    raise RuntimeError(f"{type(self).__name__} does not support sparse gradients")
                params.append(param)
        return params

    def _steps(self, group: dict[str, Any]) -> Iterator[Step]:
        """Yields a Step per parameter of the group that has a gradient and at least one element."""
        for original in self._with_grad(group):
            param, grad = original, original.grad
            if grad is None or not param.numel():
                continue
            if param.is_complex():
                param, grad = as_real([param, grad])
            if group["maximize"]:
                grad = -grad
            weight = param
            if param.dtype in HALF or grad.dtype != param.dtype:
                (weight,), (grad,) = full_precision([param], [grad])
            yield Step(param, grad, weight, self.state[original])


def new_step(param: Tensor, value: float = 0.0, *, on_device: bool) -> Tensor:
    """Returns a step counter as torch's optimizers keep it: float32, on the host unless a graph captures it."""
    return torch.tensor(value, dtype=torch.float32, device=param.device if on_device else None)
