"""The fused kernels of AdamP, SGDP and AdaRem on CUDA, in Triton: three launches for all tensors, one for AdaRem.

A launch has one program a chunk of at most BLOCK elements of one row. `_advance` updates the state and takes four sums
a chunk, g.w, |g|^2, |w|^2 and w.u; `_decide` adds them up in a fixed order, one program a tensor, and tells the view
and the radial parts; `_descend` computes the update anew and steps. Nothing is asked of the device, and no order of
programs changes a bit: ranks that see the same gradients decide alike. With TRITON_INTERPRET=1 it runs on the CPU.
"""

# ruff: noqa: N803, SIM108
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportIndexIssue=false
from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor

from optathlon.optimizers.kernels.scale_invariance import ScaleInvariance
from optathlon.optimizers.kernels.state import AdamPState, AdaRemState, RowDims, SGDPState
from optathlon.optimizers.kernels.tensor_lists import is_dense_by_rows, state_dtype

DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
BLOCK, ROWS = 1024, 1024

Shape = tuple[int, int]
"""Elements of a tensor, and its rows; 0 where it is never projected."""


@triton.jit
def _chunk(chunks, pointers, count, BLOCK: tl.constexpr, DTYPE: tl.constexpr):
    """This program's tensor and row, its elements' mask, and where weights, gradients and states are."""
    at = chunks + tl.program_id(0).to(tl.int64) * 4
    tensor, start, stop, row = tl.load(at), tl.load(at + 1), tl.load(at + 2), tl.load(at + 3)
    i = start + tl.arange(0, BLOCK)
    weight = tl.load(pointers + tensor).to(tl.pointer_type(DTYPE)) + i
    grad = tl.load(pointers + count + tensor).to(tl.pointer_type(DTYPE)) + i
    first = tl.load(pointers + 2 * count + tensor).to(tl.pointer_type(tl.float32)) + i
    second = tl.load(pointers + 3 * count + tensor).to(tl.pointer_type(tl.float32)) + i
    return tensor, row, i < stop, weight, grad, first, second


@triton.jit
def _update(m, v, g, scale, eps, own, raw, ADAM: tl.constexpr):
    u = own * m + raw * g
    if ADAM:
        u = u / (tl.sqrt(v) * scale + eps)
    return u


@triton.jit
def _advance(
    chunks, pointers, count, scalars, sums, sign, keep, rest, beta2, rest2, eps, own, raw,
    ADAM: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    tensor, _, mask, weight, grad, first, second = _chunk(chunks, pointers, count, BLOCK, DTYPE)
    w = tl.load(weight, mask=mask, other=0.0).to(tl.float32)
    g = sign * tl.load(grad, mask=mask, other=0.0).to(tl.float32)
    m = keep * tl.load(first, mask=mask, other=0.0) + rest * g
    tl.store(first, m, mask=mask)
    v = m
    if ADAM:
        v = tl.load(second, mask=mask, other=0.0) * beta2 + rest2 * g * g
        tl.store(second, v, mask=mask)
    u = _update(m, v, g, tl.load(scalars + tensor * 3 + 2), eps, own, raw, ADAM)
    u = tl.where(mask, u, 0.0)
    at = sums + tl.program_id(0).to(tl.int64) * 4
    tl.store(at, tl.sum(g * w, 0))
    tl.store(at + 1, tl.sum(g * g, 0))
    tl.store(at + 2, tl.sum(w * w, 0))
    tl.store(at + 3, tl.sum(u * w, 0))


@triton.jit
def _cosine(dot, gg, ww, eps):
    return tl.abs(dot) / (tl.maximum(tl.sqrt(gg), eps) * tl.maximum(tl.sqrt(ww), eps))


@triton.jit
def _radial(along, ww, eps):
    norm = tl.sqrt(ww) + eps
    return along / (norm * norm)


@triton.jit
def _decide(shapes, limits, sums, parts, layers, views, eps, PROJECTION: tl.constexpr, ROWS: tl.constexpr):
    tensor = tl.program_id(0)
    shape = shapes + tensor * 4
    row0, rows, chunk0, per = tl.load(shape), tl.load(shape + 1), tl.load(shape + 2), tl.load(shape + 3)
    row_limit, limit = tl.load(limits + tensor * 2), tl.load(limits + tensor * 2 + 1)
    over, dots, ggs, wws, alongs = 0, row_limit * 0, row_limit * 0, row_limit * 0, row_limit * 0
    for start in range(0, rows, ROWS):
        row = start + tl.arange(0, ROWS)
        mask = row < rows
        zero = tl.zeros([ROWS], tl.float64)
        dot, gg, ww, along = zero, zero, zero, zero
        for c in range(per):
            at = sums + (chunk0 + row * per + c) * 4
            dot += tl.load(at, mask=mask, other=0.0).to(tl.float64)
            gg += tl.load(at + 1, mask=mask, other=0.0).to(tl.float64)
            ww += tl.load(at + 2, mask=mask, other=0.0).to(tl.float64)
            along += tl.load(at + 3, mask=mask, other=0.0).to(tl.float64)
        below = _cosine(dot, gg, ww, eps) < row_limit  # false for NaN
        over = over + tl.sum((mask & (below == 0)).to(tl.int32), 0)  # pyright: ignore[reportOperatorIssue]
        tl.store(parts + row0 + row, _radial(along, ww, eps).to(tl.float32), mask=mask)
        dots += tl.sum(dot, 0)
        ggs += tl.sum(gg, 0)
        wws += tl.sum(ww, 0)
        alongs += tl.sum(along, 0)
    channel = (rows > 0) & (over == 0) & (PROJECTION != 2)
    layer = (rows > 0) & (_cosine(dots, ggs, wws, eps) < limit) & (PROJECTION != 1)
    tl.store(views + tensor, tl.where(channel, 1.0, tl.where(layer, 2.0, 0.0)))
    tl.store(layers + tensor, _radial(alongs, wws, eps).to(tl.float32))


@triton.jit
def _descend(
    chunks, pointers, count, scalars, parts, layers, views, sign, eps, own, raw, wd_ratio,
    ADAM: tl.constexpr, KEPT: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    tensor, row, mask, weight, grad, first, second = _chunk(chunks, pointers, count, BLOCK, DTYPE)
    size, shrink, scale = (
        tl.load(scalars + tensor * 3),
        tl.load(scalars + tensor * 3 + 1),
        tl.load(scalars + tensor * 3 + 2),
    )
    view = tl.load(views + tensor)
    part = tl.load(parts + row, mask=view == 1.0, other=0.0) + tl.load(layers + tensor, mask=view == 2.0, other=0.0)
    shrink *= tl.where(view == 0.0, 1.0, wd_ratio)
    w = tl.load(weight, mask=mask, other=0.0).to(tl.float32)
    g = sign * tl.load(grad, mask=mask, other=0.0).to(tl.float32)
    m = tl.load(first, mask=mask, other=0.0)
    v = m
    if ADAM:
        v = tl.load(second, mask=mask, other=0.0)
    if KEPT:  # the projection acts on the momentum itself
        m -= part * w
        part = 0.0
        tl.store(first, m, mask=mask)
    u = _update(m, v, g, scale, eps, own, raw, ADAM)
    w += (size * part - shrink) * w - size * u
    tl.store(weight, w.to(DTYPE), mask=mask)


@triton.jit
def _adarem(
    chunks, pointers, count, rates, largest, tops, sign, shrink, damping, rest, eps,
    RELATIVE: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    tensor, _, mask, weight, grad, mean, _ = _chunk(chunks, pointers, count, BLOCK, DTYPE)
    w = tl.load(weight, mask=mask, other=0.0).to(tl.float32)
    g = sign * tl.load(grad, mask=mask, other=0.0).to(tl.float32)
    m = tl.load(mean, mask=mask, other=0.0)
    limit = tl.load(largest + tensor)
    if RELATIVE:
        along = tl.abs(g) * m / (limit + eps)
    else:
        along = g * (g * m / (tl.abs(g) * limit + eps))
    w -= tl.load(rates + tensor) * (g + damping * along) + shrink * w
    m += rest * (g - m)
    tl.store(weight, w.to(DTYPE), mask=mask)
    tl.store(mean, m, mask=mask)
    # The order of floats without sign is that of their bits, NaN on top: the largest whatever the order of programs.
    bits = tl.where(mask, tl.abs(m), 0.0).to(tl.int32, bitcast=True)
    tl.atomic_max(tops + tensor, tl.max(bits, 0))


def takes(param: Tensor, grad: Tensor | None, dims: RowDims, states: Sequence[Tensor]) -> bool:
    """Whether the kernels can step this tensor: dense, float32 or half precision, with rows in dimension 0."""
    return (
        type(param) in (Tensor, torch.nn.Parameter)
        and param.dtype in DTYPES
        and (grad is None or (grad.dtype == param.dtype and not grad.is_neg()))
        and param.numel() > 0
        and is_dense_by_rows(param)
        and (dims is None or dims == tuple(range(1, param.ndim)))
        and all(s.dtype == state_dtype(param) and s.stride() == param.stride() for s in states)
    )


def adamp(
    state: AdamPState,
    *,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
) -> list[Tensor | None]:
    """One AdamP step on tensors that `takes` takes, of one device and dtype; `state.steps` count this one already."""
    beta1, beta2 = betas
    t = torch.stack(state.steps).double()
    scalars = torch.empty(len(t), 3, dtype=torch.float64, device=t.device)
    scalars[:, 0] = lr / (1 - beta1**t)
    scalars[:, 1] = lr * weight_decay
    scalars[:, 2] = (1 - beta2**t).rsqrt()
    own, raw = (beta1, 1 - beta1) if nesterov else (1.0, 0.0)
    moments = (beta1, 1 - beta1, beta2, 1 - beta2, eps, own, raw)
    states = (state.exp_avgs, state.exp_avg_sqs)
    return _projected(state, states, scalars, invariance, wd_ratio, maximize, moments, adam=True)


def sgdp(
    state: SGDPState,
    *,
    invariance: ScaleInvariance,
    lr: float | Tensor,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
) -> list[Tensor | None]:
    """One SGDP step on tensors that `takes` takes, of one device and dtype."""
    device = lr.device if isinstance(lr, Tensor) else "cpu"
    scalars = torch.zeros(len(state.params), 3, dtype=torch.float64, device=device)
    scalars[:, 0] = lr
    scalars[:, 1] = lr * weight_decay / (1 - momentum)
    own, raw = (momentum, 1.0) if nesterov else (1.0, 0.0)
    moments = (momentum, 1 - dampening, 0.0, 0.0, invariance.eps, own, raw)
    states = (state.momentum_buffers, state.momentum_buffers)
    kept = project_buffer and not nesterov
    return _projected(state, states, scalars, invariance, wd_ratio, maximize, moments, adam=False, kept=kept)


def _projected(
    state: AdamPState | SGDPState,
    states: tuple[Sequence[Tensor], Sequence[Tensor]],
    scalars: Tensor,
    invariance: ScaleInvariance,
    wd_ratio: float,
    maximize: bool,
    moments: tuple[float, ...],
    *,
    adam: bool,
    kept: bool = False,
) -> list[Tensor | None]:
    """The three launches. kept: whether the projection acts on the momentum itself."""
    params, dims = state.params, state.row_dims
    device, count = params[0].device, len(params)
    shapes = tuple((p.numel(), p.shape[0] if d else 0) for p, d in zip(params, dims, strict=True))
    chunks, tables, limits, rows = _plan(shapes, invariance.delta, device)
    pointers, _alive = _pointers(params, state.grads, states)
    scalars = scalars.to(device, torch.float32, non_blocking=True)
    sums = torch.empty(len(chunks), 4, device=device)
    parts, layers, views = (torch.empty(n, device=device) for n in (rows, count, count))
    sign, dtype = -1.0 if maximize else 1.0, DTYPES[params[0].dtype]
    eps, own, raw = moments[4:]
    common = {"ADAM": adam, "BLOCK": BLOCK, "DTYPE": dtype}
    with _on(device):
        _advance[(len(chunks),)](chunks, pointers, count, scalars, sums, sign, *moments, **common)
        _decide[(count,)](
            tables, limits, sums, parts, layers, views, invariance.eps, PROJECTION=invariance.code, ROWS=ROWS
        )
        _descend[(len(chunks),)](
            chunks, pointers, count, scalars, parts, layers, views, sign, eps, own, raw, wd_ratio, KEPT=kept, **common
        )
    torch.autograd.graph.increment_version(list(params))
    return [None if d is None else v.clone() for v, d in zip(views.unbind(), dims, strict=True)]


def adarem(
    state: AdaRemState,
    *,
    shrink: float,
    damping: float,
    beta: float,
    eps: float,
    relative: bool,
) -> list[Tensor]:
    """One AdaRem step on tensors that `takes` takes, of one device and dtype; returns the new largest |exp_avg|s."""
    params, device = state.params, state.params[0].device
    chunks, *_ = _plan(tuple((p.numel(), 0) for p in params), 0.0, device)
    pointers, _alive = _pointers(params, state.grads, (state.exp_avgs, state.exp_avgs))
    speeds = torch.stack([torch.as_tensor(r, dtype=torch.float32) for r in state.rates]).to(device)
    limits = torch.stack([v.to(device, torch.float32) for v in state.limits])
    tops = torch.zeros(len(params), dtype=torch.int32, device=device)
    with _on(device):
        _adarem[(len(chunks),)](
            chunks, pointers, len(params), speeds, limits, tops, 1.0, shrink, damping, 1 - beta, eps,
            RELATIVE=relative, BLOCK=BLOCK, DTYPE=DTYPES[params[0].dtype],
        )  # fmt: skip
    torch.autograd.graph.increment_version(list(params))
    return list(tops.view(torch.float32).unbind())


@functools.lru_cache(maxsize=64)
def _plan(shapes: tuple[Shape, ...], delta: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor, int]:
    """The chunks (tensor, start, stop, row), each tensor's (first row, rows, first chunk, chunks a row), the limits on
    the cosine by row and as a whole, and the number of all rows."""
    chunks, tables, limits = [], [], []
    row0 = chunk0 = 0
    for tensor, (numel, projected) in enumerate(shapes):
        rows = max(projected, 1)
        length = numel // rows
        per = -(-length // BLOCK)
        row = torch.arange(rows).repeat_interleave(per)
        start = torch.arange(per).repeat(rows) * BLOCK
        stop = (start + BLOCK).clamp_max(length)
        chunks.append(
            torch.stack([torch.full_like(row, tensor), row * length + start, row * length + stop, row0 + row], 1)
        )
        tables.append((row0, projected, chunk0, per))
        limits.append((delta / math.sqrt(length), delta / math.sqrt(numel)))
        row0, chunk0 = row0 + rows, chunk0 + rows * per
    tensors = (torch.cat(chunks), torch.tensor(tables), torch.tensor(limits, dtype=torch.float64))
    return *(t.to(device) for t in tensors), row0  # pyright: ignore[reportReturnType]


def _pointers(
    params: Sequence[Tensor], grads: Sequence[Tensor], states: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, list[Tensor]]:
    """Where all tensors are, on the device; and the gradients, laid out as the weights, to be kept until then."""
    laid_out = [
        g if g.stride() == p.stride() else torch.empty_like(p).copy_(g) for g, p in zip(grads, params, strict=True)
    ]
    addresses = tuple(t.data_ptr() for tensors in (params, laid_out, *states) for t in tensors)
    return _addresses(addresses, params[0].device), laid_out


@functools.lru_cache(maxsize=64)
def _addresses(addresses: tuple[int, ...], device: torch.device) -> Tensor:
    """Kept, so that a step on the same tensors copies nothing to the device and can be captured in a graph."""
    return torch.tensor(addresses, dtype=torch.int64).to(device)


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device) if device.type == "cuda" else torch.no_grad()
