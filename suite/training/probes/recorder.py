"""Watches the steps of one network's optimizer, by torch's step hooks, and notes what probes make of them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from optathlon.suite.training.probes.oscillation import Oscillation
from optathlon.suite.training.probes.sampled import SAMPLED, norms
from optathlon.suite.training.probes.step import Step, real
from optathlon.suite.training.probes.trajectory import Trajectory

FOLLOWING: dict[str, type[Oscillation] | type[Trajectory]] = {"oscillation": Oscillation, "trajectory": Trajectory}
"""The probes that look at every update; the others are in SAMPLED."""

_UNWATCHED = contextlib.nullcontext()


class Recorder:
    """The probes of the player `name`.

    note: called with the name of a curve and a value. invariant: names of the scale-invariant weights. A step that an
    fp16 scaler leaves out, because the gradient was not finite, gives no value.
    """

    def __init__(
        self,
        name: str,
        net: nn.Module,
        optimizer: torch.optim.Optimizer,
        invariant: Sequence[str],
        probes: Sequence[str],
        note: Callable[[str, float], None],
    ) -> None:
        self.name, self.optimizer, self.note = name, optimizer, note
        self.params = dict(net.named_parameters())
        self.invariant = frozenset(invariant)
        self.sampled = [name for name in probes if name in SAMPLED]
        self.following: dict[str, Oscillation | Trajectory] = {
            name: FOLLOWING[name](self._weights()) for name in FOLLOWING if name in probes
        }
        """What looks at every update."""

    def watching(self, sample: bool) -> contextlib.AbstractContextManager[None]:
        """Around a step of the optimizer. sample: whether the sampled probes look at it; without, it costs nothing."""
        return self._hooked(sample) if sample or self.following else _UNWATCHED

    @contextlib.contextmanager
    def _hooked(self, sample: bool) -> Iterator[None]:
        before: dict[str, Tensor] = {}

        def begin(*_: Any) -> None:
            if sample:
                before.update({name: weight.clone() for name, weight in self._weights().items()})

        def end(*_: Any) -> None:
            if sample:
                self._note_sampled(before)
            for probe in self.following.values():
                self._note(probe.after_step())

        hooks = (self.optimizer.register_step_pre_hook(begin), self.optimizer.register_step_post_hook(end))
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def at_end(self) -> None:
        """Note what is known only when the run is over."""
        for probe in self.following.values():
            self._note(probe.at_end())

    def state_dict(self) -> dict[str, Any]:
        return {name: probe.state_dict() for name, probe in self.following.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        for name, probe in self.following.items():
            probe.load_state_dict(state[name])

    def _note_sampled(self, before: dict[str, Tensor]) -> None:
        step = Step(
            before=before,
            after=self._weights(),
            grads=self._gradients(),
            invariant=self.invariant,
            projected=self._projected() if "projected_share" in self.sampled else {},
        )
        self._note(norms(step))
        for name in self.sampled:
            self._note(SAMPLED[name](step))

    def _note(self, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.note(f"{self.name}/{name}", value)

    def _weights(self) -> dict[str, Tensor]:
        return {name: real(p.detach()) for name, p in self.params.items()}

    def _gradients(self) -> dict[str, Tensor]:
        dense = ((name, p.grad) for name, p in self.params.items() if p.grad is not None and not p.grad.is_sparse)
        return {name: real(grad) for name, grad in dense}

    def _projected(self) -> dict[str, bool]:
        """What SGDP and AdamP keep of each tensor's last step."""
        views = ((name, self.optimizer.state.get(p, {}).get("view")) for name, p in self.params.items())
        return {name: bool(view) for name, view in views if view is not None}
