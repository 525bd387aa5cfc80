"""A task made live on one process: the interface that the training loop drives."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from optathlon.tasks.data.data_workers import DataWorkers
from optathlon.tasks.data.loading import share
from optathlon.tasks.task import Protocol

Job = TypeVar("Job")

TAGS = ("bias", "norm", "gain", "embedding", "head", "transposed", "scale_invariant", "proxy")
_NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)
COPIED_AT_ONCE = 1 << 16
"""Bytes that CUDA takes from any memory at once; for more it may wait until the device has done all before."""


@dataclass(frozen=True)
class Batch:
    """One micro-batch."""

    data: Any
    index: int
    """Its number in the epoch, from 0 on."""
    of: int
    """How many the epoch has."""
    size: int
    """Samples or tokens."""
    lr_scale: float = 1.0
    """Factor on the rates of its update."""


class Workload(ABC):
    """Data, model, loss and metrics of one task on one process.

    `loss` is repeatable: the same batch and player give the same loss and gradients, because the loop seeds torch
    before each call; memories carried from batch to batch advance when the batch's index changes, not when `loss` is
    called. `evaluate` leaves no trace: weights, buffers, modes and memories are as before. The initial weights come
    from torch's global generator, which the loop seeds before it builds the workload.

    **Several processes.** This one is number `rank` of `world` that train one run together. An update is
    `Protocol.micro_batches` micro-batches of the same size; the process takes those of its epoch's micro-batches whose
    index % world == rank (`split` and `share` of `optathlon.tasks.data.loading` give them), and `world` divides
    them, so that each has as many. Index and `of` count the whole epoch's. A loss is the mean over its own
    micro-batch, with that one's batch statistics; the loop averages the gradients over an update's micro-batches and
    folds the batch-norm statistics of each in, in their order: n processes are one process that has all of them. No
    workload communicates.

    What is carried from update to update for one part of them (the memory of its text streams) is kept for each part
    that the process has, by `index % Protocol.micro_batches`, and saved under that number, so that any number of
    processes can go on with it: part k of parallel streams is the columns k * size to (k + 1) * size, where size is
    `Protocol.micro_batch_size`.
    """

    players: Mapping[str, nn.Module]
    """All that one optimizer updates, in stepping order; nearly always {"model": net}."""
    memory_format: torch.memory_format = torch.contiguous_format
    """How the weights of convolutions lie in memory, and pictures where the workload heeds it; see `lay_out`."""

    def __init__(
        self,
        protocol: Protocol,
        data: Path,
        *,
        device: torch.device | str = "cpu",
        seed: int = 0,
        rank: int = 0,
        world: int = 1,
        data_workers: int = 0,
    ) -> None:
        self.protocol = protocol
        self.data = Path(data)
        self.device = torch.device(device)
        self.seed = seed
        self.rank = rank
        self.world = world
        self.data_workers = data_workers

    def tags(self, player: str) -> dict[str, set[str]]:
        """Facts about each parameter of `player`, by name, from the vocabulary TAGS; here those the modules tell."""
        return module_tags(self.players[player])

    def lay_out(self, memory_format: torch.memory_format) -> None:
        """Lay out the weights so from now on. No result depends on it but for rounding, which is why it may be chosen
        for speed: no part of a run's identity."""
        self.memory_format = memory_format
        for net in self.players.values():
            net.to(memory_format=memory_format)

    def start_epoch(self, epoch: int, resuming: bool) -> None:  # noqa: B027
        """Freeze, thaw, reset; what may happen only once in an epoch happens if not `resuming`."""

    @abstractmethod
    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """This process's micro-batches of `epoch` from index `start` (the first of an update) on: each with
        index % world == rank. The same for any number of data workers."""

    def load_share(self, fetch: Callable[[Job], Any], jobs: Sequence[Job], start: int = 0) -> Iterator[tuple[int, Any]]:
        """(index, fetch(jobs[index])) for each of this process's micro-batches of an epoch, from index `start` on.

        jobs: one per micro-batch of the whole epoch. `fetch` may run ahead in data workers: it is a function of its job
        alone, with random numbers from optathlon.tasks.randomness.
        """
        mine = share(len(jobs), start, self.rank, self.world)
        yield from zip(mine, self.load_all(fetch, [jobs[index] for index in mine]), strict=True)

    def load_all(self, fetch: Callable[[Job], Any], jobs: Sequence[Job]) -> Iterator[Any]:
        """fetch(job) for each job in order, ahead of time in the data workers; for a GPU in memory that it copies from
        while it computes. See DataWorkers for what `fetch` may be, if they are to be kept for it."""
        return self._kept_workers.load(fetch, jobs)

    @functools.cached_property
    def _kept_workers(self) -> DataWorkers:
        return DataWorkers(self.data_workers, pin=self.device.type == "cuda")

    def close(self) -> None:
        """Ends the data workers, once nothing more is to be loaded."""
        self._kept_workers.close()

    def on_device(self, tensor: Tensor) -> Tensor:
        """What was loaded, on the workload's device, by a copy that is not waited for: a GPU takes it from page-locked
        memory, where data workers have put it, or else this does."""
        if self.device.type == "cuda" and tensor.nbytes > COPIED_AT_ONCE and tensor.is_cpu and not tensor.is_pinned():
            tensor = tensor.pin_memory()
        return tensor.to(self.device, non_blocking=True)

    @abstractmethod
    def loss(self, batch: Batch, player: str) -> Tensor:
        """The scalar loss of `batch` that `player` descends."""

    @abstractmethod
    def evaluate(self, split: str) -> dict[str, float]:
        """Metrics by name on `split` ("validation" or "test"). Every rank evaluates the whole split; rank 0's numbers
        count."""

    def state_dict(self) -> dict[str, Any]:
        """What is not in the players and must survive a resume: memories, sigma. Plain values and tensors only.

        Of several ranks' states one is made: dictionaries in it, also nested ones, are merged by their keys, and what
        several ranks have under the same key must be equal.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave, on one rank or merged of several; of what belongs to parts, one's own."""
        if state:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {sorted(state)}")


def module_tags(net: nn.Module) -> dict[str, set[str]]:
    """What the module tree tells about each trainable or frozen parameter: bias, norm, gain, embedding, transposed."""
    tags: dict[str, set[str]] = {name: set() for name, _ in net.named_parameters()}
    for path, module in net.named_modules():
        for name, _ in module.named_parameters(prefix=path, recurse=False):
            if name not in tags:
                continue
            leaf = name.rpartition(".")[2]
            if "bias" in leaf:
                tags[name].add("bias")
            if isinstance(module, _NORMS):
                tags[name].add("norm")
            if isinstance(module, nn.Embedding | nn.EmbeddingBag):
                tags[name].add("embedding")
            if isinstance(module, nn.modules.conv._ConvTransposeNd) and leaf == "weight":
                tags[name].add("transposed")
            if name.endswith("parametrizations.weight.original0") or leaf == "weight_g":
                tags[name].add("gain")
    return tags
