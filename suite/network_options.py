"""How a run's networks are laid out in memory and compiled: chosen for speed, part of no run's identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optathlon.tasks.workload import Workload

MEMORY_FORMATS = ("auto", "contiguous", "channels-last")


@dataclass(frozen=True)
class NetworkOptions:
    """How a run's networks are laid out in memory and compiled. Results depend on it only by rounding."""

    compile: bool = False
    """Whether torch.compile compiles each network, as far as it is called as a whole."""
    memory_format: str = "auto"
    """One of MEMORY_FORMATS, for the weights of convolutions and so for their activations; auto: the task's own."""

    def apply(self, workload: Workload) -> NetworkOptions:
        """Lays out and compiles the networks of `workload`; returns the options with "auto" resolved."""
        import torch

        named = {"contiguous": torch.contiguous_format, "channels-last": torch.channels_last}
        if self.memory_format != "auto" and workload.memory_format != named[self.memory_format]:
            workload.lay_out(named[self.memory_format])
        if self.compile:
            for net in workload.players.values():
                net.compile()
        now = next(name for name, memory_format in named.items() if memory_format == workload.memory_format)
        return NetworkOptions(self.compile, now)

    def described(self) -> dict[str, Any]:
        """Returns the options as plain values, for a checkpoint and for a record."""
        return asdict(self)


AS_TASKS_SAY = NetworkOptions()
"""Not compiled, and laid out as each task does it."""
