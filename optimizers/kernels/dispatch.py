"""Which tensors the fused kernels can take, on the CPU and on a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor


def takes_on_gpu(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    *states: Sequence[Tensor],
) -> list[bool]:
    """For each parameter whether the Triton kernels can step it; RuntimeError where they are needed and not there."""
    interpreted = os.environ.get("TRITON_INTERPRET") == "1"
    there = [interpreted or p.is_cuda for p in params]
    if not any(there):
        return there
    try:
        from optathlon.optimizers.kernels import cuda
    except ImportError as error:
        raise RuntimeError(f"fused=True on {params[0].device} needs Triton ({error}); leave fused out") from error
    each = zip(there, params, grads, dims, *states, strict=True)
    return [here and cuda.takes(param, grad, rows, own) for here, param, grad, rows, *own in each]


def dispatch(
    choices: Sequence[tuple[Sequence[bool], Callable[..., list[Tensor | None]]]],
    lists: Sequence[Sequence[Any]],
    plain: Callable[..., list[Tensor | None]],
) -> list[Tensor | None]:
    """Calls for each tensor the first of `choices` that takes it, by device and dtype, else `plain`; in order."""
    found: list[Tensor | None] = [None] * len(lists[0])
    rest = list(range(len(found)))

    def call(run: Callable[..., list[Tensor | None]], indices: list[int]) -> None:
        results = run(*([items[i] for i in indices] for items in lists))
        for i, result in zip(indices, results, strict=True):
            found[i] = result

    for taken, run in choices:
        own, rest = [i for i in rest if taken[i]], [i for i in rest if not taken[i]]
        kinds: dict[Any, list[int]] = {}
        for i in own:
            kinds.setdefault((lists[0][i].device, lists[0][i].dtype), []).append(i)
        for indices in kinds.values():
            call(run, indices)
    if rest:
        call(plain, rest)
    return found
