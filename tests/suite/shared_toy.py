"""The toy for several processes: each part of an update has a memory of its own. Some ways to go wrong besides."""

from __future__ import annotations

import msgspec
import torch
from toy import BASE, Toy, _task

SETTINGS = {**BASE.settings, "fail_on": -1, "drift": False, "huge_at": -1}
SHARED = msgspec.structs.replace(BASE, micro_batch=4, settings=SETTINGS)


class SharedToy(Toy):
    """fail_on: the rank that raises in the second epoch. drift: ranks change their weights by themselves. huge_at: the
    micro-batch whose loss overflows in half precision."""

    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        fresh = (self.memory, self.before, self.at)
        self.kept = dict.fromkeys(range(self.rank, protocol.micro_batches, self.world), fresh)

    def loss(self, batch, player):
        settings, part = self.protocol.settings, batch.index % self.protocol.micro_batches
        if settings["fail_on"] == self.rank and batch.data[2] == 1:
            raise ZeroDivisionError(f"process {self.rank} was told to fail")
        if settings["drift"]:
            with torch.no_grad():
                self.players[player][0].bias += 1e-3 * self.rank
        self.memory, self.before, self.at = self.kept[part]
        loss = super().loss(batch, player)
        self.kept[part] = (self.memory, self.before, self.at)
        return loss * 1e30 if batch.data[2] * batch.of + batch.index == settings["huge_at"] else loss

    def state_dict(self):
        return {part: {"memory": kept[0], "before": kept[1], "at": list(kept[2])} for part, kept in self.kept.items()}

    def load_state_dict(self, state):
        self.kept = {
            part: (state[part]["memory"], state[part]["before"], tuple(state[part]["at"])) for part in self.kept
        }


TASK = msgspec.structs.replace(_task("shared-toy", SHARED), workload="shared_toy:SharedToy", version=1)
