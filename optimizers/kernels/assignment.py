"""Decides, for every optimizer of this room, which implementation steps which tensor, and has it do so."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import enum
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.optim.optimizer import _default_to_fused_or_foreach

from optathlon.optimizers.kernels import cpu, sharded
from optathlon.optimizers.kernels.state import AdamPState, AdaRemState, RowDims, SGDPState
from optathlon.optimizers.kernels.tensor_lists import select

StateT = TypeVar("StateT", AdamPState, SGDPState, AdaRemState)
HyperT = TypeVar("HyperT")
ResultT = TypeVar("ResultT")


class Implementation(enum.Enum):
    """A way to take a step. The value is how a run's provenance names it."""

    LOOP = "loop"
    """Tensor after tensor, by torch's operators."""
    FOREACH = "foreach"
    """All tensors of a device and dtype at once, by torch's foreach operators."""
    FUSED_CPU = "fused (C++)"
    FUSED_GPU = "fused (Triton)"
    SHARDED = "sharded"
    """By foreach on each process's rows, with one packed all-reduce of what must be known of the others'."""


def dispatch(
    functions: Mapping[Implementation, Callable[[StateT, HyperT], Sequence[ResultT]]],
    state: StateT,
    hyper: HyperT,
    assigned: Iterator[tuple[Implementation, list[int]]],
) -> list[ResultT]:
    """Takes one step of a rule; returns what its implementations return per tensor, in the order of the tensors.

    functions: the rule's implementations. assigned: by `assign`, which gives each tensor to one of them.
    """
    results: dict[int, ResultT] = {}
    for implementation, indices in assigned:
        step = functions[implementation]
        results.update(zip(indices, step(select(state, indices), hyper), strict=True))
    return [results[i] for i in range(len(state.params))]


def assign(
    params: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    row_dims: Sequence[RowDims],
    states: Sequence[Sequence[Tensor]],
    *,
    lr: float | Tensor,
    foreach: bool | None,
    fused: bool | None,
    capturable: bool = False,
    differentiable: bool = False,
) -> Iterator[tuple[Implementation, list[int]]]:
    """Yields each implementation with the positions of the tensors that it steps; kernels per device and dtype.

    states: for each kind of state its tensors. lr to differentiable: what the optimizer was asked for. Raises
    RuntimeError where fused kernels are needed on a GPU and Triton is not installed.
    """
    takers: list[tuple[Implementation, list[bool]]] = []
    # Sharded weights must all-reduce their row sums, so no kernel may take them.
    if any(shards := sharded.shards(params, row_dims)):
        takers.append((Implementation.SHARDED, [shard is not None for shard in shards]))
    if fused:
        # The GPU's kernels are asked first: in Triton's interpreter they take tensors on the CPU.
        takers.append((Implementation.FUSED_GPU, _gpu_takes(params, grads, row_dims, states)))
        takers.append((Implementation.FUSED_CPU, cpu.takes(params, row_dims, *states)))
    left = list(range(len(params)))
    for implementation, takes in takers:
        taken, left = [i for i in left if takes[i]], [i for i in left if not takes[i]]
        # A kernel is compiled for one dtype, and foreach groups tensors by itself: only for the former must we.
        parts: dict[Any, list[int]] = {}
        for i in taken:
            parts.setdefault((params[i].device, params[i].dtype), []).append(i)
        yield from ((implementation, indices) for indices in parts.values())
    if left:
        yield plain(params, lr, foreach, capturable, differentiable), left


def plain(
    params: Sequence[Tensor],
    lr: float | Tensor,
    foreach: bool | None,
    capturable: bool = False,
    differentiable: bool = False,
) -> Implementation:
    """Returns LOOP or FOREACH: what was asked for, else by torch's rule.

    That is foreach for plain tensors on an accelerator, where it saves launches. On the CPU the loop is faster, as
    foreach's temporaries leave the caches.
    """
    if foreach is None:
        _, foreach = _default_to_fused_or_foreach(list(params), differentiable, use_fused=False)
        host_reads_rate = isinstance(lr, Tensor) and not capturable
        foreach = foreach and not host_reads_rate and all(type(p) in (Tensor, torch.nn.Parameter) for p in params)
    return Implementation.FOREACH if foreach else Implementation.LOOP


def _gpu_takes(
    params: Sequence[Tensor],
    grads: Sequence[Tensor | None],
    row_dims: Sequence[RowDims],
    states: Sequence[Sequence[Tensor]],
) -> list[bool]:
    """Returns, per tensor, whether the kernels of the GPU can step it."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    on_gpu = [interpreted or p.is_cuda for p in params]
    if not any(on_gpu):
        return on_gpu
    try:
        from optathlon.optimizers.kernels import cuda
    except ImportError as error:
        raise RuntimeError(f"fused=True on {params[0].device} needs Triton ({error}); leave fused out") from error
    tensors = zip(on_gpu, params, grads, row_dims, *states, strict=True)
    return [is_on and cuda.takes(param, grad, rows, its_states) for is_on, param, grad, rows, *its_states in tensors]
