"""What the proofs of a workload share: building it anew, its first batches, its gradients."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from optathlon.tasks import verified_workload
from optathlon.tasks.task import Protocol, Task
from optathlon.tasks.verified_workload import loss_of, micro_batches
from optathlon.tasks.workload import Batch, Workload

Build = Callable[..., Workload]
"""build(seed=, rank=, world=, data_workers=) gives a fresh workload."""

MOST_BATCHES = 64
"""Micro-batches of an epoch that the proofs look at."""


class Broken(AssertionError):  # noqa: N818
    """A workload does not do what the training loop relies on; the message has the object and the likely remedy."""


class Lacks(Exception):  # noqa: N818
    """There is nothing to prove; the message says why."""


def require(condition: bool, message: str) -> None:
    if not condition:
        raise Broken(message)


class Kit:
    """A workload to be proven. splits: those it is evaluated on. task: whose metrics they have; None for any."""

    def __init__(self, build: Build, splits: Sequence[str], task: Task | None = None) -> None:
        self.build, self.splits, self.task = build, splits, task

    @classmethod
    def for_task(cls, task: Task, protocol: Protocol, data: Path) -> Kit:
        """The kit for `task` by `protocol` with the data below `data`, on this machine's CPU."""
        splits = [split for split in ("validation", "test") if split == "test" or protocol.holdout != "none"]
        return cls(
            lambda **process: verified_workload.build(task, protocol, data, device="cpu", **process), splits, task
        )

    def fresh(self, **process: int) -> Workload:
        """A workload as the loop builds it: the weights are a function of the seed."""
        torch.default_generator.manual_seed(7)
        return self.build(seed=3, **process)

    def started(self, **process: int) -> Workload:
        """A fresh workload in its first epoch."""
        workload = self.fresh(**process)
        workload.start_epoch(0, False)
        return workload

    @property
    def name(self) -> str:
        """What users call the workload: its class."""
        return self.task.workload.rpartition(":")[2] if self.task else "the workload"


def first(workload: Workload, count: int = MOST_BATCHES, epoch: int = 0, start: int = 0) -> list[Batch]:
    """The first `count` micro-batches of `epoch` from `start` on, or as many as there are."""
    return list(itertools.islice(micro_batches(workload, epoch, start), count))


def loss_and_gradients(workload: Workload, batch: Batch, player: str) -> dict[str, Tensor]:
    """The loss under "loss" and the gradient of each parameter of `player` by its name."""
    for net in workload.players.values():
        net.zero_grad(set_to_none=True)
    torch.default_generator.manual_seed(11)
    loss = loss_of(workload, batch, player)
    called = any(p.grad is not None for net in workload.players.values() for p in net.parameters())
    require(not called, f"{type(workload).__name__}.loss computes gradients itself; the loop calls backward()")
    loss.backward()
    gradients = {n: p.grad for n, p in workload.players[player].named_parameters() if p.grad is not None}
    return {"loss": loss.detach(), **gradients}
