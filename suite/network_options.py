"""How a run's networks are laid out in memory and carried out: chosen for speed, part of no run's identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optathlon.tasks.workload import Workload

MEMORY_FORMATS = ("auto", "contiguous", "channels-last")


@dataclass(frozen=True)
class NetworkOptions:
    """How a run's networks are laid out in memory and carried out. Results depend on it only by rounding."""

    compile: bool = False
    """Whether torch.compile compiles each network, as far as it is called as a whole."""
    memory_format: str = "auto"
    """Of the weights of convolutions, and so of what goes through them; auto: as the task lays them out."""

    def apply(self, workload: Workload) -> NetworkOptions:
        """Has the networks of `workload` laid out and compiled; returns what they are now, with no auto in it."""
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
        """As plain values, for a checkpoint and for a record."""
        return asdict(self)


AS_TASKS_SAY = NetworkOptions()
