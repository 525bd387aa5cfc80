"""Gradients, losses and batch statistics of an update, over all processes that have parts of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BUCKET_BYTES = 32 << 20
RUNNING = ("running_mean", "running_var", "num_batches_tracked")


def sum_gradients(net: nn.Module, loss: Tensor) -> Tensor:
    """Replace each gradient of `net` by its sum over the processes, and return the sum of their losses.

    A parameter without a gradient here counts as zero if another process has one, else it keeps having none.
    """
    parameters = [p for p in net.parameters() if p.requires_grad]
    lacking = [i for i, p in enumerate(parameters) if p.grad is None]
    counts = torch.ones(len(parameters), device=loss.device)
    for i in lacking:
        counts[i] = 0.0
    gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    loss = loss.clone().reshape(1)
    for bucket in buckets([*gradients, counts, loss]):
        flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
        dist.all_reduce(flat)
        _spread(flat, bucket)
    if lacking:  # only then does the host wait for the device
        found = counts.tolist()
        for i in lacking:
            parameters[i].grad = gradients[i] if found[i] else None
    return loss.reshape(())


def buckets(tensors: Iterable[Tensor]) -> Iterator[list[Tensor]]:
    """Lists of consecutive tensors of one type, each of BUCKET_BYTES or, if it is one tensor, perhaps more."""
    for _, alike in groupby(tensors, key=lambda t: t.dtype):
        bucket, size = [], 0
        for tensor in alike:
            if bucket and size + tensor.nbytes > BUCKET_BYTES:
                yield bucket
                bucket, size = [], 0
            bucket.append(tensor)
            size += tensor.nbytes
        yield bucket


def _spread(flat: Tensor, tensors: Sequence[Tensor]) -> None:
    pieces = flat.split([tensor.numel() for tensor in tensors])
    torch._foreach_copy_(  # type: ignore[attr-defined]
        list(tensors), [piece.view_as(tensor) for piece, tensor in zip(pieces, tensors, strict=True)]
    )


class Statistics:
    """Batch-norm statistics and other buffers of networks whose parts of an update went through several processes.

    A running statistic moves by r <- keep * r + added with each part. Each process finds out both for its own parts;
    then all apply those of every part, in the parts' order, to where the update began: as one process would. Of other
    persistent buffers all take the first process's.

    A norm without momentum keeps the mean over all parts so far: its `keep` depends on how many went before, of which
    every part is taken to have added as many.
    """

    def __init__(self, nets: Iterable[nn.Module], rank: int, world: int) -> None:
        self.rank, self.world = rank, world
        modules = list(dict.fromkeys(module for net in nets for module in net.modules()))
        self.norms = [m for m in modules if isinstance(m, _BatchNorm) and m.track_running_stats and m.momentum != 0]
        sizes = [m.num_features for m in self.norms]
        self.owner = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.int64))
        self.others = [
            (module, name)
            for module in modules
            for name in module._buffers
            if module._buffers[name] is not None
            and name not in module._non_persistent_buffers_set
            and not (name in RUNNING and module in self.norms)
        ]
        if self.norms:
            device = self._tensors("running_mean")[0].device
            self.owner = self.owner.repeat(2).to(device)
            self.rest = torch.tensor([1.0 - float(m.momentum or 0) for m in self.norms], dtype=torch.float64).to(device)
            self.cumulative = torch.tensor([m.momentum is None for m in self.norms]).to(device)

    def _tensors(self, name: str) -> list[Tensor]:
        return [getattr(norm, name) for norm in self.norms]

    def begin(self) -> None:
        """An update begins, from statistics that are the same on all processes."""
        if self.norms:
            self.start = self.last = self._read()
            self.steps: list[tuple[Tensor, Tensor]] = []

    def _read(self) -> tuple[Tensor, Tensor]:
        """All means and then all variances in one vector, and how often each norm has moved its own."""
        values = torch.cat([*self._tensors("running_mean"), *self._tensors("running_var")]).double()
        return values, torch.stack(self._tensors("num_batches_tracked"))

    def note(self) -> None:
        """One part of this process went through."""
        if self.norms:
            (before, moved_before), (after, moved) = self.last, self._read()
            more = moved - moved_before
            gone = self.start[1] + (len(self.steps) * self.world + self.rank) * more  # on one process, before this part
            mean = self.cumulative & (more > 0)
            keep = torch.where(mean, gone / (gone + more), self.rest**more)
            here = torch.where(mean, moved_before / moved, keep)
            scale = torch.where(mean, moved / (gone + more), 1.0)
            self.steps.append((keep, scale[self.owner] * (after - here[self.owner] * before)))
            self.last = after, moved

    def fold(self) -> None:
        """All parts of the update went through, here and elsewhere."""
        if self.norms:
            self._fold()
        for bucket in buckets([module._buffers[name] for module, name in self.others]):  # type: ignore[misc]
            flat = torch.cat([tensor.reshape(-1) for tensor in bucket])
            dist.broadcast(flat, 0)
            _spread(flat, bucket)

    def _fold(self) -> None:
        own = torch.stack([torch.cat(step) for step in self.steps])
        everyone = [torch.empty_like(own) for _ in range(self.world)]
        dist.all_gather(everyone, own)
        value = self.start[0]
        for each in torch.stack(everyone, 1).flatten(0, 1):  # part 0 of each process, then part 1 of each
            keep, added = each[: len(self.norms)], each[len(self.norms) :]
            value = keep[self.owner] * value + added
        _spread(value, [*self._tensors("running_mean"), *self._tensors("running_var")])
        start, now = self.start[1], self.last[1]
        _spread(start + (now - start) * self.world, self._tensors("num_batches_tracked"))
