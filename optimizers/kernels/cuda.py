"""The fused kernels of AdamP, SGDP and AdaRem on CUDA, in Triton: three launches for all tensors, one for AdaRem.

A launch has one program per chunk of at most BLOCK elements of one row. `_advance` updates the state and takes four
sums per chunk, g.w, |g|^2, |w|^2 and w.u; `_decide`, one program per tensor, adds them up in a fixed order and decides
the view and the radial parts; `_descend` computes the update anew and steps. The host reads nothing from the device,
and no order of programs changes a bit: ranks that see the same gradients decide alike. With TRITON_INTERPRET=1 it runs
on the CPU.
"""

# ruff: noqa: N803, SIM108
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportIndexIssue=false
from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from optathlon.optimizers.kernels.state import (
    AdamPHyperparameters,
    AdamPState,
    AdaRemHyperparameters,
    AdaRemState,
    RowDims,
    SGDPHyperparameters,
    SGDPState,
)
from optathlon.optimizers.kernels.tensor_lists import is_dense_by_rows, state_dtype

DTYPES = {torch.float32: tl.float32, torch.bfloat16: tl.bfloat16, torch.float16: tl.float16}
BLOCK, ROWS = 1024, 1024

Shape = tuple[int, int]
"""Elements of a tensor, and its rows; 0 where it is never projected."""


@triton.jit
def _chunk(chunks, pointers, count, BLOCK: tl.constexpr, DTYPE: tl.constexpr):
    """This program's tensor and row, its elements' mask, and where weights, gradients and states are."""
    chunk = chunks + tl.program_id(0).to(tl.int64) * 4
    tensor, start, stop, row = tl.load(chunk), tl.load(chunk + 1), tl.load(chunk + 2), tl.load(chunk + 3)
    i = start + tl.arange(0, BLOCK)
    weight = tl.load(pointers + tensor).to(tl.pointer_type(DTYPE)) + i
    grad = tl.load(pointers + count + tensor).to(tl.pointer_type(DTYPE)) + i
    first = tl.load(pointers + 2 * count + tensor).to(tl.pointer_type(tl.float32)) + i
    second = tl.load(pointers + 3 * count + tensor).to(tl.pointer_type(tl.float32)) + i
    return tensor, row, i < stop, weight, grad, first, second


# The update u of a weight w with gradient g, moments m and v, at step t, as one would write it on a board:
#     AdamP:  u <- m / (sqrt(v) / sqrt(1 - beta2^t) + eps)       # nesterov: beta1 m + (1 - beta1) g in place of m
#     SGDP:   u <- m                                             # nesterov: momentum m + g
@triton.jit
def _update(m, v, g, scale, eps, of_momentum, of_grad, ADAM: tl.constexpr):
    u = of_momentum * m + of_grad * g
    if ADAM:
        u = u / (tl.sqrt(v) * scale + eps)
    return u


# The first launch, before anything is known of a projection:
#     AdamP:  m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2
#     SGDP:   m <- momentum m + (1 - dampening) g
#     sums of g w, g^2, w^2 and u w
@triton.jit
def _advance(
    chunks, pointers, count, scalars, sums, sign, keep, rest, beta2, rest2, eps, of_momentum, of_grad,
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
    u = _update(m, v, g, tl.load(scalars + tensor * 3 + 2), eps, of_momentum, of_grad, ADAM)
    u = tl.where(mask, u, 0.0)
    chunk_sums = sums + tl.program_id(0).to(tl.int64) * 4
    tl.store(chunk_sums, tl.sum(g * w, 0))
    tl.store(chunk_sums + 1, tl.sum(g * g, 0))
    tl.store(chunk_sums + 2, tl.sum(w * w, 0))
    tl.store(chunk_sums + 3, tl.sum(u * w, 0))


@triton.jit
def _cosine(dot, gg, ww, eps):
    return tl.abs(dot) / (tl.maximum(tl.sqrt(gg), eps) * tl.maximum(tl.sqrt(ww), eps))


@triton.jit
def _radial(along, ww, eps):
    norm = tl.sqrt(ww) + eps
    return along / (norm * norm)


# The second launch, per tensor with rows w_r (rules/projection.py has the rule in full):
#     view <- channel if max over r of |cos(g_r, w_r)| < row_limit, else layer if |cos(g, w)| < limit, else none
#     part of row r <- (w_r . u_r) / (|w_r| + eps)^2;   layer <- (w . u) / (|w| + eps)^2
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
            chunk_sums = sums + (chunk0 + row * per + c) * 4
            dot += tl.load(chunk_sums, mask=mask, other=0.0).to(tl.float64)
            gg += tl.load(chunk_sums + 1, mask=mask, other=0.0).to(tl.float64)
            ww += tl.load(chunk_sums + 2, mask=mask, other=0.0).to(tl.float64)
            along += tl.load(chunk_sums + 3, mask=mask, other=0.0).to(tl.float64)
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


# The third launch, under the view:
#     part <- that of the row, or of the layer, or 0;   shrink <- wd_ratio shrink unless the view is none
#     w <- (1 - shrink) w - size (u - part w)                    # PROJECT_BUFFER: m <- m - part w, and u is that m
@triton.jit
def _descend(
    chunks, pointers, count, scalars, parts, layers, views, sign, eps, of_momentum, of_grad, wd_ratio,
    ADAM: tl.constexpr, PROJECT_BUFFER: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
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
    if PROJECT_BUFFER:
        m -= part * w
        part = 0.0
        tl.store(first, m, mask=mask)
    u = _update(m, v, g, scale, eps, of_momentum, of_grad, ADAM)
    w += (size * part - shrink) * w - size * u
    tl.store(weight, w.to(DTYPE), mask=mask)


# AdaRem in one launch, as one would write it on a board:
#     b <- g m / (|g| limit + eps)                               # RELATIVE: sign(g) m / (limit + eps)
#     w <- w - rate (1 + damping b) g - shrink w
#     m <- m + (1 - beta) (g - m);   top <- max |m|
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


def adamp(state: AdamPState, hyper: AdamPHyperparameters) -> list[Tensor | None]:
    """Takes one AdamP step on tensors that `takes` takes, of one device and dtype; `state.steps` count it already."""
    beta1, beta2 = hyper.betas
    t = torch.stack(state.steps).double()
    scalars = torch.empty(len(t), 3, dtype=torch.float64, device=t.device)
    scalars[:, 0] = hyper.lr / (1 - beta1**t)
    scalars[:, 1] = hyper.lr * hyper.weight_decay
    scalars[:, 2] = (1 - beta2**t).rsqrt()
    of_momentum, of_grad = (beta1, 1 - beta1) if hyper.nesterov else (1.0, 0.0)
    moments = _Moments(beta1, 1 - beta1, beta2, 1 - beta2, hyper.eps, of_momentum, of_grad)
    states = (state.exp_avgs, state.exp_avg_sqs)
    return _projected(state, states, scalars, hyper, moments, adam=True)


def sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    """Takes one SGDP step on tensors that `takes` takes, of one device and dtype."""
    device = hyper.lr.device if isinstance(hyper.lr, Tensor) else "cpu"
    scalars = torch.zeros(len(state.params), 3, dtype=torch.float64, device=device)
    scalars[:, 0] = hyper.lr
    scalars[:, 1] = hyper.shrink
    of_momentum, of_grad = (hyper.momentum, 1.0) if hyper.nesterov else (1.0, 0.0)
    moments = _Moments(hyper.momentum, 1 - hyper.dampening, 0.0, 0.0, hyper.invariance.eps, of_momentum, of_grad)
    states = (state.momentum_buffers, state.momentum_buffers)
    project_buffer = hyper.project_buffer and not hyper.nesterov
    return _projected(state, states, scalars, hyper, moments, adam=False, project_buffer=project_buffer)


class _Moments(NamedTuple):
    """How the state moves and what the update is made of, in the order of the kernels' arguments."""

    keep: float
    """Of the first moment, what is kept of it."""
    rest: float
    """Of the gradient, what goes into it."""
    beta2: float
    rest2: float
    """The same of the second moment and the gradient's square."""
    eps: float
    """In AdamP's denominator."""
    of_momentum: float
    """The update is this times the first moment ..."""
    of_grad: float
    """... and this times the gradient."""


def _projected(
    state: AdamPState | SGDPState,
    states: tuple[Sequence[Tensor], Sequence[Tensor]],
    scalars: Tensor,
    hyper: AdamPHyperparameters | SGDPHyperparameters,
    moments: _Moments,
    *,
    adam: bool,
    project_buffer: bool = False,
) -> list[Tensor | None]:
    """Takes a step of a projected optimizer by three launches; returns the views.

    scalars: per tensor the step size, what the decay takes, and the factor on sqrt(v). project_buffer: whether the
    projection acts on the momentum itself.
    """
    params, dims, invariance = state.params, state.row_dims, hyper.invariance
    device, count = params[0].device, len(params)
    shapes = tuple((p.numel(), p.shape[0] if d else 0) for p, d in zip(params, dims, strict=True))
    chunks, tables, limits, rows = _plan(shapes, invariance.delta, device)
    pointers, _alive = _pointers(params, state.grads, states)
    scalars = scalars.to(device, torch.float32, non_blocking=True)
    sums = torch.empty(len(chunks), 4, device=device)
    parts, layers, views = (torch.empty(n, device=device) for n in (rows, count, count))
    sign, dtype = -1.0 if hyper.maximize else 1.0, DTYPES[params[0].dtype]
    common = {"ADAM": adam, "BLOCK": BLOCK, "DTYPE": dtype}
    with _on(device):
        _advance[(len(chunks),)](chunks, pointers, count, scalars, sums, sign, *moments, **common)
        _decide[(count,)](
            tables, limits, sums, parts, layers, views, invariance.eps, PROJECTION=invariance.code, ROWS=ROWS
        )
        _descend[(len(chunks),)](
            chunks, pointers, count, scalars, parts, layers, views, sign, moments.eps, moments.of_momentum,
            moments.of_grad, hyper.wd_ratio, PROJECT_BUFFER=project_buffer, **common,
        )  # fmt: skip
    torch.autograd.graph.increment_version(list(params))
    return [None if d is None else v.clone() for v, d in zip(views.unbind(), dims, strict=True)]


def adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> list[Tensor]:
    """Takes one AdaRem step on tensors that `takes` takes, of one device and dtype; returns the new max |exp_avg|s."""
    params, device = state.params, state.params[0].device
    chunks, *_ = _plan(tuple((p.numel(), 0) for p in params), 0.0, device)
    pointers, _alive = _pointers(params, state.grads, (state.exp_avgs, state.exp_avgs))
    rates = torch.stack([torch.as_tensor(r, dtype=torch.float32) for r in state.rates]).to(device)
    limits = torch.stack([v.to(device, torch.float32) for v in state.limits])
    tops = torch.zeros(len(params), dtype=torch.int32, device=device)
    with _on(device):
        _adarem[(len(chunks),)](
            chunks, pointers, len(params), rates, limits, tops, 1.0, float(hyper.shrink), hyper.damping, 1 - hyper.beta,
            hyper.eps, RELATIVE=hyper.relative, BLOCK=BLOCK, DTYPE=DTYPES[params[0].dtype],
        )  # fmt: skip
    torch.autograd.graph.increment_version(list(params))
    return list(tops.view(torch.float32).unbind())


@functools.lru_cache(maxsize=64)
def _plan(shapes: tuple[Shape, ...], delta: float, device: torch.device) -> tuple[Tensor, Tensor, Tensor, int]:
    """Returns the chunks (tensor, start, stop, row), each tensor's (first row, rows, first chunk, chunks per row), its
    limits on the cosine by row and as a whole, and the number of all rows."""
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
    """Returns the addresses of all tensors, on the device, and the gradients laid out as the weights.

    The caller must hold those gradients until the launch: only their addresses are in the table.
    """
    laid_out = [
        g if g.stride() == p.stride() else torch.empty_like(p).copy_(g) for g, p in zip(grads, params, strict=True)
    ]
    addresses = tuple(t.data_ptr() for tensors in (params, laid_out, *states) for t in tensors)
    return _addresses(addresses, params[0].device), laid_out


@functools.lru_cache(maxsize=64)
def _addresses(addresses: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns the addresses on the device. Cached, so that a step on the same tensors copies nothing there and can be
    captured in a graph."""
    return torch.tensor(addresses, dtype=torch.int64).to(device)


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device) if device.type == "cuda" else torch.no_grad()
