"""Steps of fused kernels, prepared once: what does not change from step to step is gathered and told once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from optathlon.optimizers.kernels.assignment import Implementation
from optathlon.optimizers.kernels.kept_tensors import KeptTensors
from optathlon.optimizers.rules.base_optimizer import BaseOptimizer

Run = Callable[[Sequence[Tensor]], None]
"""Takes a step on gradients laid out as the weights."""


class _KeptStep(NamedTuple):
    """A prepared step of a group."""

    group: dict[str, Any]
    """Held, so that no other group gets its id."""
    options: tuple[Any, ...]
    tensors: KeptTensors
    run: Run


class KeepsSteps(BaseOptimizer):
    """The base of rules whose step of a group can be prepared, where one fused kernel takes all of it.

    From its third step on such a group is stepped as prepared, as long as nothing that was prepared has changed.
    """

    kept_states: ClassVar[tuple[str, ...]]
    """Keys of all states that a prepared step reads or writes."""
    kept_options: ClassVar[tuple[str, ...]]
    """Options of a group that are prepared too; all others may change from step to step."""

    def _prepare_cpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run | None:
        """Lays out the C++ kernel's step of the group's `params`, which may replace states; None where it cannot be."""
        raise NotImplementedError

    def _prepare_gpu_step(self, params: list[Tensor], group: dict[str, Any]) -> Run | None:
        """Does the same for Triton's kernels."""
        raise NotImplementedError

    def _repeat_step(self, group: dict[str, Any]) -> bool:
        """Steps the group as prepared, if it is and nothing has changed; returns whether."""
        prepared = self._kept_steps.get(id(group))
        if prepared is None or prepared.group is not group or prepared.options != self._options(group):
            return False
        grads = [grad for p in group["params"] if (grad := p.grad) is not None]
        params = group["params"]
        if len(grads) != len(params):
            params = [p for p in params if p.grad is not None]
        if not (prepared.tensors.are(params, self.state) and prepared.tensors.fit(grads)):
            return False
        prepared.run(grads)
        return True

    def _keep_step(self, group: dict[str, Any]) -> None:
        """Prepares the group's next step, after one that was not prepared."""
        if not group["fused"] or _traced():
            return
        params = [p for p in group["params"] if p.grad is not None]
        # For the same weights as in the step before alone: where they change with each step, it would be in vain.
        before, self._last_params[id(group)] = self._last_params.get(id(group)), [id(p) for p in params]
        if before == self._last_params[id(group)] and (run := self._prepare_step(params, group)) is not None:
            tensors = KeptTensors(params, self.state, self.kept_states)
            self._kept_steps[id(group)] = _KeptStep(group, self._options(group), tensors, run)
        for stale in self._kept_steps.keys() - {id(group) for group in self.param_groups}:
            del self._kept_steps[stale]

    def _prepare_step(self, params: list[Tensor], group: dict[str, Any]) -> Run | None:
        """Lays out the step of one kernel that takes all of `params`, with gradients as they were; None without one."""
        if not params or any(p.is_complex() or not p.numel() for p in params):
            return None
        if not KeptTensors(params, self.state, ()).fit([p.grad for p in params if p.grad is not None]):
            return None
        assigned = [implementation for implementation, _ in self._assigned(params, group)]
        if assigned == [Implementation.FUSED_CPU]:
            return self._prepare_cpu_step(params, group)
        return self._prepare_gpu_step(params, group) if assigned == [Implementation.FUSED_GPU] else None

    @property
    def _kept_steps(self) -> dict[int, _KeptStep]:
        """By the group's id. Neither copied nor saved with the state, as Optimizer.__getstate__ leaves it out."""
        return self.__dict__.setdefault("_kept_steps_by_group", {})

    @property
    def _last_params(self) -> dict[int, list[int]]:
        """By the group's id, the ids of the parameters that its last step took."""
        return self.__dict__.setdefault("_last_params_by_group", {})

    def _options(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(group[name] for name in self.kept_options)


def _traced() -> bool:
    """Whether the step is compiled, or captured in a graph: what is prepared then would belong to the graph alone."""
    return torch.compiler.is_compiling() or (torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing())


def shared_counters(states: Sequence[dict[str, Any]]) -> Tensor | None:
    """Makes the states' step counters parts of one tensor, which it returns; None if they are not of one kind."""
    counters = [state["step"] for state in states]
    if len({(counter.dtype, counter.device, counter.ndim) for counter in counters}) != 1 or counters[0].ndim:
        return None
    shared = torch.stack(counters)
    for state, counter in zip(states, shared.unbind(), strict=True):
        state["step"] = counter
    return shared
