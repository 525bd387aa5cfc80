"""Batch statistics measured anew, for weights that no training batch went through: those that averages make."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from optathlon.suite.identity import Run
from optathlon.suite.training.precision import autocast
from optathlon.suite.training.seeds import seed
from optathlon.suite.training.team import Team
from optathlon.tasks.verified_workload import loss_of, state_of
from optathlon.tasks.workload import Workload


def measure(workload: Workload, run: Run, team: Team, count: int) -> None:
    """Replace the running statistics of every batch-norm layer that learns them by their mean over the first `count`
    micro-batches of the first epoch, as SWA does (Izmailov et al. 2018, section 3.2).

    All processes take part, and get the same. Nothing else of the workload changes.
    """
    layers = [m for net in workload.players.values() for m in net.modules() if isinstance(m, _BatchNorm) and _learns(m)]
    if not layers:
        return
    before, momenta = copy.deepcopy(state_of(workload)), [layer.momentum for layer in layers]
    for layer in layers:
        layer.reset_running_stats()
        layer.momentum = None  # the plain mean over all batches
    try:
        for batch in itertools.takewhile(lambda b: b.index < count, workload.batches(0)):
            for player in workload.players:
                seed(workload.device, run.seed, "statistics", batch.index, player)
                with torch.enable_grad(), autocast(workload.device, run.protocol.precision):
                    loss_of(workload, batch, player)
    finally:
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        workload.load_state_dict(before)
    _average(layers, team.all([_sums(layer) for layer in layers]))


def _learns(layer: nn.Module) -> bool:
    """A layer in eval mode keeps its statistics in training too; one without statistics has none to keep."""
    return layer.training and isinstance(layer.running_mean, Tensor) and isinstance(layer.running_var, Tensor)


def _sums(layer: _BatchNorm) -> tuple[int, Tensor, Tensor]:
    """How many batches this process measured, and what their means and variances come to."""
    seen = int(layer.num_batches_tracked or 0)
    mean, variance = (value.double().cpu() * seen for value in _statistics(layer))
    return seen, mean, variance


def _statistics(layer: _BatchNorm) -> Iterator[Tensor]:
    for value in (layer.running_mean, layer.running_var):
        assert value is not None  # as `_learns` has seen
        yield value


def _average(layers: Sequence[_BatchNorm], of_processes: Sequence[Sequence[tuple[int, Tensor, Tensor]]]) -> None:
    for layer, parts in zip(layers, zip(*of_processes, strict=True), strict=True):
        seen = sum(part[0] for part in parts)
        for at, value in enumerate(_statistics(layer), start=1):
            value.copy_(torch.stack([part[at] for part in parts]).sum(0) / max(seen, 1))
