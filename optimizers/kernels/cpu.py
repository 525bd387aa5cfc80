"""The fused kernels of AdamP, SGDP and AdaRem on the CPU: which tensors they take, and their calls."""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import contextlib
import ctypes
from array import array
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.profiler import record_function

from optathlon.optimizers.kernels import kernel_cache
from optathlon.optimizers.kernels.state import (
    AdamPHyperparameters,
    AdamPState,
    AdaRemHyperparameters,
    AdaRemState,
    RowDims,
    SGDPHyperparameters,
    SGDPState,
)
from optathlon.optimizers.kernels.tensor_lists import is_dense_by_rows

_DTYPES = {torch.float32: "float32", torch.float64: "float64"}


def takes(params: Sequence[Tensor], dims: Sequence[RowDims], *states: Sequence[Tensor]) -> list[bool]:
    """For each parameter whether the kernels can step it: dense float32 or float64 on the CPU, rows in dimension 0."""
    if kernel_cache.load().library is None:
        return [False] * len(params)
    return [_takes(p, d, its_states) for p, d, *its_states in zip(params, dims, *states, strict=True)]


def _takes(param: Tensor, dims: RowDims, states: Sequence[Tensor]) -> bool:
    dtype = param.dtype
    if dtype not in _DTYPES or not param.is_cpu or type(param) not in (Tensor, torch.nn.Parameter):
        return False
    if dims is not None and dims != tuple(range(1, param.ndim)):
        return False
    contiguous = param.is_contiguous()
    for state in states:  # all laid out alike, dense
        if state.dtype != dtype or not (
            (contiguous and state.is_contiguous()) or (is_dense_by_rows(param) and state.stride() == param.stride())
        ):
            return False
    return contiguous or is_dense_by_rows(param)


def counts_in(steps: Iterable[Tensor]) -> bool:
    """Whether AdamP's kernel can count in these step counters: float32 on the CPU."""
    return all(step.dtype == torch.float32 and step.is_cpu for step in steps)


def adamp(state: AdamPState, hyper: AdamPHyperparameters) -> list[Tensor | None]:
    """Takes one AdamP step on tensors that `takes` takes, all of one dtype; returns their views. Counts the step."""
    if counts_in(state.steps):
        call = AdamPCall(state)
        call.run(_laid_out(state), hyper)
    else:
        call = AdamPCall(state._replace(steps=[step.to("cpu", torch.float32, copy=True) for step in state.steps]))
        call.run(_laid_out(state), hyper)
        torch._foreach_copy_(state.steps, call.steps)
    return call.views


def sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    """Takes one SGDP step on tensors that `takes` takes, all of one dtype; returns their views."""
    call = SGDPCall(state)
    call.run(_laid_out(state), hyper)
    return call.views


def adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> None:
    """Takes one AdaRem step on tensors that `takes` takes, all of one dtype.

    Reads `state.limits` and writes `state.largest` for the next step; they may be the same. Both must be on the CPU
    and of the parameters' dtype, the rates numbers.
    """
    call = AdaRemCall(state.params, state.exp_avgs, state.limits, state.largest)
    call.run(_laid_out(state), state.rates, hyper)


class _Call:
    """A kernel's call on a fixed set of tensors that `takes` takes, all of one dtype.

    Where they lie is told once for as many steps as one likes: of many small tensors it takes longer than their steps.
    The caller holds the states, whose addresses alone are kept.
    """

    def __init__(
        self, name: str, params: Sequence[Tensor], states: Sequence[Sequence[Tensor]], lists: Sequence[array[int]]
    ) -> None:
        self.params = list(params)
        self.name = f"{name}_{_DTYPES[params[0].dtype]}"
        self.fixed = [_pointers(params), *map(_pointers, states), _integers(map(Tensor.numel, params)), *lists]

    def _run(self, grads: Sequence[Tensor], *numbers: Iterable[Any]) -> None:
        """Takes a step; numbers: the lists of floats that the kernel asks for after the gradients."""
        function = getattr(kernel_cache.load().library, self.name)
        function.restype = None
        lists = (*self.fixed, _pointers(grads), *map(_doubles, numbers))
        addresses = (ctypes.c_void_p(each.buffer_info()[0]) for each in lists)
        # A profile shows operators of torch alone, unless told; asked first, as to tell costs as much as a small step.
        profiled = torch.autograd._profiler_enabled()
        with record_function(f"optathlon::{self.name}") if profiled else contextlib.nullcontext():
            function(ctypes.c_int64(len(self.params)), *addresses, ctypes.c_int(torch.get_num_threads()))
        torch.autograd.graph.increment_version(self.params)


class AdamPCall(_Call):
    """AdamP's kernel on the tensors of `state`, whose gradients are not looked at; their counters `counts_in` takes.

    views: per tensor that of the last step, None where it is never projected; each step writes to them.
    """

    def __init__(self, state: AdamPState) -> None:
        self.steps, self.views = state.steps, _views(state)
        lists = [_rows(state), _pointers(state.steps), _pointers_or_null(self.views)]
        super().__init__("adamp", state.params, [state.exp_avgs, state.exp_avg_sqs], lists)

    def run(self, grads: Sequence[Tensor], hyper: AdamPHyperparameters) -> None:
        """Takes one step on gradients laid out as the weights, and counts it.

        The rule, at step t (fused.cpp says in which order):

            m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2
            u <- m / (sqrt(v / (1 - beta2^t)) + eps)           # nesterov: beta1 m + (1 - beta1) g in place of m
            size <- lr / (1 - beta1^t);   shrink <- lr weight_decay
            where the view projects:  u <- u - (w . u) w / (|w| + eps)^2;   shrink <- wd_ratio shrink
            w <- (1 - shrink) w - size u
        """
        invariance = hyper.invariance
        options = (
            float(hyper.lr), *hyper.betas, hyper.eps, hyper.weight_decay, invariance.delta, hyper.wd_ratio,
            invariance.code, hyper.nesterov, hyper.maximize,
        )  # fmt: skip
        self._run(grads, options)


class SGDPCall(_Call):
    """SGDP's kernel on the tensors of `state`, whose gradients are not looked at; views are AdamPCall's."""

    def __init__(self, state: SGDPState) -> None:
        self.views = _views(state)
        super().__init__("sgdp", state.params, [state.momentum_buffers], [_rows(state), _pointers_or_null(self.views)])

    def run(self, grads: Sequence[Tensor], hyper: SGDPHyperparameters) -> None:
        """Takes one step on gradients laid out as the weights.

        The rule (fused.cpp says in which order):

            b <- momentum b + (1 - dampening) g;   u <- g + momentum b if nesterov else b
            shrink <- lr weight_decay / (1 - momentum)
            where the view projects:  u <- u - (w . u) w / (|w| + eps)^2;   shrink <- wd_ratio shrink
                                      project_buffer, without nesterov: and b is this u
            w <- (1 - shrink) w - lr u
        """
        invariance = hyper.invariance
        options = (
            float(hyper.lr), hyper.momentum, hyper.dampening, invariance.eps, hyper.weight_decay, invariance.delta,
            hyper.wd_ratio, invariance.code, hyper.nesterov, hyper.maximize, hyper.project_buffer,
        )  # fmt: skip
        self._run(grads, options)


class AdaRemCall(_Call):
    """AdaRem's kernel; limits and largest are AdaRemState's, and may be the same."""

    def __init__(
        self, params: Sequence[Tensor], exp_avgs: Sequence[Tensor], limits: Sequence[Tensor], largest: Sequence[Tensor]
    ) -> None:
        super().__init__("adarem", params, [exp_avgs], [_pointers(limits), _pointers(largest)])

    def run(self, grads: Sequence[Tensor], rates: Sequence[float | Tensor], hyper: AdaRemHyperparameters) -> None:
        """Takes one step on gradients laid out as the weights; writes `largest` for the next.

        The rule (fused_adarem.cpp does it in one pass):

            b <- g m / (|g| limit + eps)                # relative: sign(g) m / (limit + eps)
            w <- w - rate (1 + damping b) g - shrink w
            m <- beta m + (1 - beta) g;   largest <- max |m|
        """
        options = (float(hyper.shrink), hyper.damping, 1 - hyper.beta, hyper.eps, hyper.relative)
        self._run(grads, map(float, rates), options)


def _rows(state: AdamPState | SGDPState) -> array[int]:
    """Returns how many rows each tensor has, 0 where it is never projected."""
    return _integers(0 if dims is None else p.shape[0] for p, dims in zip(state.params, state.row_dims, strict=True))


def _views(state: AdamPState | SGDPState) -> list[Tensor | None]:
    """Returns, per tensor, the view that the kernel reads and writes; None where it is never projected."""
    tensors = zip(state.params, state.row_dims, state.views, strict=True)
    return [None if dims is None else _view(param, before) for param, dims, before in tensors]


def _view(param: Tensor, before: Tensor | None) -> Tensor:
    # A checkpoint may have brought one of another dtype.
    if before is not None and before.dtype == param.dtype and before.is_cpu:
        return before
    return param.new_tensor(0.0 if before is None else before.item())


def _laid_out(state: AdamPState | SGDPState | AdaRemState) -> list[Tensor]:
    """Returns the gradients in their parameters' dtype and layout: themselves, or copies."""
    return [_laid_out_as(param, grad) for param, grad in zip(state.params, state.grads, strict=True)]


def _laid_out_as(param: Tensor, grad: Tensor) -> Tensor:
    if grad.dtype == param.dtype and not grad.is_neg():  # a negative is lazy: its memory has the other sign
        if grad.is_contiguous() and param.is_contiguous():
            return grad
        if grad.stride() == param.stride():
            return grad
    return torch.empty_like(param).copy_(grad)


def _pointers(tensors: Iterable[Tensor]) -> array[int]:
    return _integers(map(Tensor.data_ptr, tensors))


def _pointers_or_null(tensors: Iterable[Tensor | None]) -> array[int]:
    return _integers(0 if tensor is None else tensor.data_ptr() for tensor in tensors)


def _integers(values: Iterable[int]) -> array[int]:
    return array("q", values)


def _doubles(values: Iterable[float]) -> array[float]:
    return array("d", values)
