"""AdamP, SGDP and AdaRem in Triton. What launches them: cuda.py.

A launch has one program per chunk of at most BLOCK elements of one row. `advance` updates the state and takes four
sums per chunk, g.w, |g|^2, |w|^2 and w.u; `decide`, one program per tensor, adds them up in a fixed order and decides
the view and the radial parts; `descend` computes the update anew and steps. AdaRem needs one launch.
"""

# ruff: noqa: N803, SIM108
# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportIndexIssue=false
from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def _chunk(chunks, pointers, grads, count, BLOCK: tl.constexpr, DTYPE: tl.constexpr):
    """This program's tensor and row, its elements' mask, and where weights, gradients and states are."""
    chunk = chunks + tl.program_id(0).to(tl.int64) * 4
    tensor, start, stop, row = tl.load(chunk), tl.load(chunk + 1), tl.load(chunk + 2), tl.load(chunk + 3)
    i = start + tl.arange(0, BLOCK)
    weight = tl.load(pointers + tensor).to(tl.pointer_type(DTYPE)) + i
    grad = tl.load(grads + tensor).to(tl.pointer_type(DTYPE)) + i
    first = tl.load(pointers + count + tensor).to(tl.pointer_type(tl.float32)) + i
    second = tl.load(pointers + 2 * count + tensor).to(tl.pointer_type(tl.float32)) + i
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
def advance(
    chunks, pointers, grads, count, scalars, sums, sign, keep, rest, beta2, rest2, eps, of_momentum, of_grad,
    ADAM: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    tensor, _, mask, weight, grad, first, second = _chunk(chunks, pointers, grads, count, BLOCK, DTYPE)
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
def decide(shapes, limits, sums, parts, layers, views, eps, PROJECTION: tl.constexpr, ROWS: tl.constexpr):
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
def descend(
    chunks, pointers, grads, count, scalars, parts, layers, views, sign, eps, of_momentum, of_grad, wd_ratio,
    ADAM: tl.constexpr, PROJECT_BUFFER: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    tensor, row, mask, weight, grad, first, second = _chunk(chunks, pointers, grads, count, BLOCK, DTYPE)
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
def adarem(
    chunks, pointers, grads, count, rates, largest, tops, sign, shrink, damping, rest, eps,
    RELATIVE: tl.constexpr, BLOCK: tl.constexpr, DTYPE: tl.constexpr,
):  # fmt: skip
    tensor, _, mask, weight, grad, mean, _ = _chunk(chunks, pointers, grads, count, BLOCK, DTYPE)
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
