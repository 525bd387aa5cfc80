"""The fused steps of AdamP, SGDP and AdaRem on CUDA, in Triton: three launches for all tensors, one for AdaRem.

The host reads nothing from the device, and no order of programs changes a bit: ranks that see the same gradients decide
alike. With TRITON_INTERPRET=1 it runs on the CPU. The kernels themselves: triton_kernels.py.
"""

# pyright: reportPrivateImportUsage=false, reportArgumentType=false, reportIndexIssue=false
from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import triton.language as tl
from torch import Tensor

from optathlon.optimizers.kernels import triton_kernels
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
    """Takes one AdamP step on tensors that `takes` takes, of one device and dtype; `state.steps` count it already.

    Returns the views, None for tensors that are never projected.
    """
    call = AdamPCall(state.params, state.exp_avgs, state.exp_avg_sqs, state.row_dims, hyper.invariance.delta)
    call.run(_laid_out(state.params, state.grads), torch.stack(state.steps), hyper)
    return call.views


def sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    """Takes one SGDP step on tensors that `takes` takes, of one device and dtype; returns the views as `adamp` does."""
    call = SGDPCall(state.params, state.momentum_buffers, state.row_dims, hyper.invariance.delta)
    call.run(_laid_out(state.params, state.grads), hyper)
    return call.views


def adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> list[Tensor]:
    """Takes one AdaRem step on tensors that `takes` takes, of one device and dtype; returns the new max |exp_avg|s."""
    call = AdaRemCall(state.params, state.exp_avgs)
    rates = torch.stack([torch.as_tensor(r, dtype=torch.float32) for r in state.rates])
    rates = rates.to(call.device, non_blocking=True)
    limits = torch.stack([v.to(call.device, torch.float32, non_blocking=True) for v in state.limits])
    call.run(_laid_out(state.params, state.grads), rates, limits, hyper)
    return call.largest


class _Call:
    """What a step's launches are told of a fixed set of tensors that `takes` takes, of one device and dtype.

    All that does not change from step to step lies on the device, for as many steps as one likes. The caller holds the
    states, whose addresses alone are kept.
    """

    def __init__(
        self, params: Sequence[Tensor], states: Sequence[Sequence[Tensor]], shapes: tuple[Shape, ...], delta: float
    ) -> None:
        self.params, self.device = list(params), params[0].device
        self.chunks, self.tables, self.limits, self.rows = _plan(shapes, delta, self.device)
        self.pointers = _addresses([t for tensors in (params, *states) for t in tensors], self.device)
        self.dtype = DTYPES[params[0].dtype]


class _ProjectedCall(_Call):
    """The launches of AdamP and SGDP.

    views: per tensor that of the last step, None where it is never projected; each step writes them anew.
    """

    def __init__(
        self,
        params: Sequence[Tensor],
        states: tuple[Sequence[Tensor], Sequence[Tensor]],
        row_dims: Sequence[RowDims],
        delta: float,
    ) -> None:
        shapes = tuple((p.numel(), p.shape[0] if d else 0) for p, d in zip(params, row_dims, strict=True))
        super().__init__(params, states, shapes, delta)
        self.sums = torch.empty(len(self.chunks), 4, device=self.device)
        sizes = (self.rows, len(self.params), len(self.params))
        self.parts, self.layers, self.all_views = (torch.empty(size, device=self.device) for size in sizes)
        self.views = [None if d is None else v for v, d in zip(self.all_views.unbind(), row_dims, strict=True)]

    def begin_with(self, views: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Takes over the views of a step before; returns its own."""
        for ours, before in zip(self.views, views, strict=True):
            if ours is not None and before is not None:
                ours.copy_(before)
        return self.views

    def _launch(
        self,
        grads: Sequence[Tensor],
        scalars: Tensor,
        hyper: AdamPHyperparameters | SGDPHyperparameters,
        moments: _Moments,
        *,
        adam: bool,
        project_buffer: bool = False,
    ) -> None:
        """scalars: per tensor the step size, what the decay takes, and the factor on sqrt(v). project_buffer: whether
        the projection acts on the momentum itself."""
        count, sign, invariance = len(self.params), -1.0 if hyper.maximize else 1.0, hyper.invariance
        scalars = scalars.to(self.device, torch.float32, non_blocking=True)
        where = (self.chunks, self.pointers, _addresses(grads, self.device), count, scalars)
        common = {"ADAM": adam, "BLOCK": BLOCK, "DTYPE": self.dtype}
        with _on(self.device):
            triton_kernels.advance[(len(self.chunks),)](*where, self.sums, sign, *moments, **common)
            triton_kernels.decide[(count,)](
                self.tables, self.limits, self.sums, self.parts, self.layers, self.all_views, invariance.eps,
                PROJECTION=invariance.code, ROWS=ROWS,
            )  # fmt: skip
            triton_kernels.descend[(len(self.chunks),)](
                *where, self.parts, self.layers, self.all_views, sign, moments.eps, moments.of_momentum,
                moments.of_grad, hyper.wd_ratio, PROJECT_BUFFER=project_buffer, **common,
            )  # fmt: skip
        torch.autograd.graph.increment_version(self.params)


class AdamPCall(_ProjectedCall):
    """AdamP on a fixed set of tensors."""

    def __init__(
        self,
        params: Sequence[Tensor],
        exp_avgs: Sequence[Tensor],
        exp_avg_sqs: Sequence[Tensor],
        row_dims: Sequence[RowDims],
        delta: float,
    ) -> None:
        super().__init__(params, (exp_avgs, exp_avg_sqs), row_dims, delta)

    def run(self, grads: Sequence[Tensor], steps: Tensor, hyper: AdamPHyperparameters) -> None:
        """Takes one step on gradients laid out as the weights; `steps` has a number per tensor, with this step."""
        beta1, beta2 = hyper.betas
        t = steps.double()
        scalars = torch.empty(len(t), 3, dtype=torch.float64, device=t.device)
        scalars[:, 0] = hyper.lr / (1 - beta1**t)
        scalars[:, 1] = hyper.lr * hyper.weight_decay
        scalars[:, 2] = (1 - beta2**t).rsqrt()
        of_momentum, of_grad = (beta1, 1 - beta1) if hyper.nesterov else (1.0, 0.0)
        moments = _Moments(beta1, 1 - beta1, beta2, 1 - beta2, hyper.eps, of_momentum, of_grad)
        self._launch(grads, scalars, hyper, moments, adam=True)


class SGDPCall(_ProjectedCall):
    """SGDP on a fixed set of tensors."""

    def __init__(
        self, params: Sequence[Tensor], buffers: Sequence[Tensor], row_dims: Sequence[RowDims], delta: float
    ) -> None:
        super().__init__(params, (buffers, buffers), row_dims, delta)

    def run(self, grads: Sequence[Tensor], hyper: SGDPHyperparameters) -> None:
        """Takes one step on gradients laid out as the weights."""
        device = hyper.lr.device if isinstance(hyper.lr, Tensor) else "cpu"
        scalars = torch.zeros(len(self.params), 3, dtype=torch.float64, device=device)
        scalars[:, 0] = hyper.lr
        scalars[:, 1] = hyper.shrink
        of_momentum, of_grad = (hyper.momentum, 1.0) if hyper.nesterov else (1.0, 0.0)
        moments = _Moments(hyper.momentum, 1 - hyper.dampening, 0.0, 0.0, hyper.invariance.eps, of_momentum, of_grad)
        project_buffer = hyper.project_buffer and not hyper.nesterov
        self._launch(grads, scalars, hyper, moments, adam=False, project_buffer=project_buffer)


class AdaRemCall(_Call):
    """AdaRem on a fixed set of tensors. largest: max |exp_avg| of each after the last step."""

    def __init__(self, params: Sequence[Tensor], exp_avgs: Sequence[Tensor]) -> None:
        super().__init__(params, (exp_avgs, exp_avgs), tuple((p.numel(), 0) for p in params), 0.0)
        self.all_largest = torch.zeros(len(self.params), device=self.device)
        self.largest = list(self.all_largest.unbind())

    def run(self, grads: Sequence[Tensor], rates: Tensor, limits: Tensor, hyper: AdaRemHyperparameters) -> None:
        """Takes one step on gradients laid out as the weights; rates and limits have a number per tensor."""
        tops = torch.zeros(len(self.params), dtype=torch.int32, device=self.device)
        with _on(self.device):
            triton_kernels.adarem[(len(self.chunks),)](
                self.chunks, self.pointers, _addresses(grads, self.device), len(self.params), rates, limits, tops, 1.0,
                float(hyper.shrink), hyper.damping, 1 - hyper.beta, hyper.eps, RELATIVE=hyper.relative, BLOCK=BLOCK,
                DTYPE=self.dtype,
            )  # fmt: skip
        self.all_largest.copy_(tops.view(torch.float32))
        torch.autograd.graph.increment_version(self.params)

    def repeat(self, grads: Sequence[Tensor], hyper: AdaRemHyperparameters) -> None:
        """Takes one step in which the limits are `largest` and all rates lr."""
        rates = torch.full((len(self.params),), float(hyper.lr), device=self.device)
        self.run(grads, rates, self.all_largest, hyper)


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


def _laid_out(params: Sequence[Tensor], grads: Sequence[Tensor]) -> list[Tensor]:
    """Returns the gradients laid out as the weights: themselves, or copies."""
    return [g if g.stride() == p.stride() else torch.empty_like(p).copy_(g) for g, p in zip(grads, params, strict=True)]


def _addresses(tensors: Sequence[Tensor], device: torch.device) -> Tensor:
    """Returns where the tensors lie, on the device. The caller must hold them until the launch."""
    return _on_device(tuple(map(Tensor.data_ptr, tensors)), device)


@functools.lru_cache(maxsize=64)
def _on_device(addresses: tuple[int, ...], device: torch.device) -> Tensor:
    """Returns the addresses on the device, without waiting for it. Cached, so that a step on the same tensors copies
    nothing there and can be captured in a graph."""
    return torch.tensor(addresses, dtype=torch.int64).to(device, non_blocking=True)


def _on(device: torch.device) -> Any:
    return torch.cuda.device(device) if device.type == "cuda" else torch.no_grad()
