"""Prepares tensors for foreach operators and kernels: precision, real views, lists of one device and dtype."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor

HALF = (torch.float16, torch.bfloat16)

Lists = TypeVar("Lists", bound=tuple[Any, ...])
"""A named tuple of lists with one entry per tensor, such as AdamPState."""


def state_dtype(param: Tensor) -> torch.dtype:
    """Returns the dtype of `param`'s state: its own, but at least single precision."""
    if param.dtype == torch.complex32:
        return torch.complex64
    return torch.float32 if param.dtype in HALF else param.dtype


def zeros_like(param: Tensor) -> Tensor:
    """Returns a zero state of `param`'s layout, in at least float32."""
    return torch.zeros_like(param, dtype=state_dtype(param), memory_format=torch.preserve_format)


def full_precision(params: Sequence[Tensor], grads: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Returns parameters and gradients in their states' dtype: themselves, or copies of those that have another."""
    weights = [p.float() if p.dtype in HALF else p for p in params]
    return weights, [g if g.dtype == w.dtype else g.to(w.dtype) for g, w in zip(grads, weights, strict=True)]


def as_real(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Returns the tensors themselves; complex ones as views with a last dimension of two."""
    return [torch.view_as_real(t.resolve_conj()) if t.is_complex() else t for t in tensors]


def norm_in_double(tensor: Tensor) -> Tensor:
    """Returns the Euclidean norm of all elements, real and imaginary, summed in float64."""
    return torch.linalg.vector_norm(*as_real([tensor]), dtype=torch.float64)


def select(lists: Lists, indices: Sequence[int]) -> Lists:
    """Returns the named tuple with only the entries at `indices` of each of its lists."""
    return type(lists)(*([entries[i] for i in indices] for entries in lists))


def by_device_and_dtype(*lists: list[Tensor]) -> Iterator[tuple[list[int], list[list[Tensor]]]]:
    """Cuts the lists into parts of one device and dtype each; yields them with the positions of their tensors."""
    if lists[0]:
        groups = torch.optim.Optimizer._group_tensors_by_device_and_dtype(list(lists), with_indices=True)  # pyright: ignore[reportArgumentType]
        for parts, indices in groups.values():
            yield list(indices), [[t for t in part if t is not None] for part in parts]


def increment(steps: list[Tensor]) -> None:
    """Adds one to every counter; by a tensor on the host, or each addition would wrap the number anew."""
    if not torch.compiler.is_compiling() and steps[0].is_cpu:
        torch._foreach_add_(steps, torch.tensor(1.0), alpha=1.0)
    else:
        torch._foreach_add_(steps, 1)


def numbers_or_tensors(values: Sequence[Any]) -> Any:
    """Returns the values as one kind, as foreach operators need them: all tensors, or else all numbers."""
    return list(values) if all(isinstance(v, Tensor) for v in values) else [float(v) for v in values]


def is_dense_by_rows(param: Tensor) -> bool:
    """Whether dimension 0 is the outermost in memory, without gaps: contiguous or channels-last."""
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(param.ndim)
    return param.is_contiguous() or (channels_last is not None and param.is_contiguous(memory_format=channels_last))
