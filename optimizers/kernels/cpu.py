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


def adamp(state: AdamPState, hyper: AdamPHyperparameters) -> list[Tensor | None]:
    """Takes one AdamP step on tensors that `takes` takes, all of one dtype; returns their views.

    `state.steps` count this step already. The rule, at step t of them (fused.cpp says in which order):

        m <- beta1 m + (1 - beta1) g;   v <- beta2 v + (1 - beta2) g^2
        u <- m / (sqrt(v / (1 - beta2^t)) + eps)               # nesterov: beta1 m + (1 - beta1) g in place of m
        size <- lr / (1 - beta1^t);   shrink <- lr weight_decay
        where the view projects:  u <- u - (w . u) w / (|w| + eps)^2;   shrink <- wd_ratio shrink
        w <- (1 - shrink) w - size u
    """
    invariance = hyper.invariance
    options = (
        float(hyper.lr), *hyper.betas, hyper.eps, hyper.weight_decay, invariance.delta, hyper.wd_ratio, invariance.code,
        hyper.nesterov, hyper.maximize,
    )  # fmt: skip
    steps = _doubles(step.item() for step in state.steps)
    return _projected("adamp", state, [state.exp_avgs, state.exp_avg_sqs], [steps], options)


def sgdp(state: SGDPState, hyper: SGDPHyperparameters) -> list[Tensor | None]:
    """Takes one SGDP step on tensors that `takes` takes, all of one dtype; returns their views.

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
    return _projected("sgdp", state, [state.momentum_buffers], [], options)


def adarem(state: AdaRemState, hyper: AdaRemHyperparameters) -> None:
    """Takes one AdaRem step on tensors that `takes` takes, all of one dtype.

    Reads `state.limits` and writes `state.largest` for the next step; they may be the same. Both must be on the CPU
    and of the parameters' dtype, the rates numbers. The rule (fused_adarem.cpp does it in one pass):

        b <- g m / (|g| limit + eps)                # relative: sign(g) m / (limit + eps)
        w <- w - rate (1 + damping b) g - shrink w
        m <- beta m + (1 - beta) g;   largest <- max |m|
    """
    arrays = [_doubles(map(float, state.rates)), _pointers(state.limits), _pointers(state.largest)]
    _run("adarem", state.params, state.grads, [state.exp_avgs], arrays, _adarem_options(hyper))


def _adarem_options(hyper: AdaRemHyperparameters) -> tuple[float, ...]:
    """Returns what fused_adarem.cpp calls options, in its order."""
    return float(hyper.shrink), hyper.damping, 1 - hyper.beta, hyper.eps, hyper.relative


class AdaRemCall:
    """AdaRem's kernel on a fixed set of tensors that `takes` takes, all of one dtype, each its own limit.

    All that does not change from step to step is checked and laid out once: models of many small tensors would spend
    more time in Python than in the kernel.
    """

    def __init__(self, params: list[Tensor], exp_avgs: list[Tensor], largest: list[Tensor]) -> None:
        self.params, self.exp_avgs, self.largest = params, exp_avgs, largest
        self.dtype = params[0].dtype
        self.addresses, self.strides = list(map(Tensor.data_ptr, params)), list(map(Tensor.stride, params))
        self.contiguous = all(map(Tensor.is_contiguous, params))
        self.weights, self.means, self.tops = array("q", self.addresses), _pointers(exp_avgs), _pointers(largest)
        self.counts = _integers(map(Tensor.numel, params))

    def fits(self, grads: Sequence[Tensor]) -> bool:
        """Whether the weights lie where they lay and the gradients are laid out as they are, so that it can be run."""
        return (
            list(map(Tensor.data_ptr, self.params)) == self.addresses
            and all(grad.dtype is self.dtype and grad.layout is torch.strided for grad in grads)
            and not any(map(Tensor.is_neg, grads))
            and (all(map(Tensor.is_contiguous, grads)) if self.contiguous else self._strides_fit(grads))
        )

    def _strides_fit(self, grads: Sequence[Tensor]) -> bool:
        return list(map(Tensor.stride, grads)) == self.strides

    def run(self, grads: Sequence[Tensor], hyper: AdaRemHyperparameters) -> None:
        """Takes one step on gradients that fit, all at the rate lr; `largest` are written for the next."""
        rates = array("d", [float(hyper.lr)]) * len(self.params)
        options = _doubles(_adarem_options(hyper))
        lists = (self.weights, _pointers(grads), self.means, self.counts, rates, self.tops, self.tops, options)
        _call(f"adarem_{_DTYPES[self.dtype]}", len(self.params), lists)
        torch.autograd.graph.increment_version(self.params)


def _projected(
    name: str,
    state: AdamPState | SGDPState,
    states: list[list[Tensor]],
    more: list[array[Any]],
    options: Sequence[float],
) -> list[Tensor | None]:
    """Takes a step of a projected optimizer; returns the view of each tensor that could be projected."""
    rows = _integers(0 if dims is None else p.shape[0] for p, dims in zip(state.params, state.row_dims, strict=True))
    expected = [0.0 if view is None else view.item() for view in state.views]
    views = _doubles(expected)
    _run(name, state.params, state.grads, states, [rows, *more, views], options)
    result: list[Tensor | None] = [None] * len(state.params)
    for i, (dims, before) in enumerate(zip(state.row_dims, state.views, strict=True)):
        if dims is not None:
            # A view hardly ever changes: its tensor is kept, as a new one per weight would cost more than small steps.
            keep = before is not None and views[i] == expected[i]
            result[i] = before if keep else state.params[i].new_tensor(views[i])
    return result


def _run(
    name: str,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    arrays: Sequence[array[Any]],
    options: Sequence[float],
) -> None:
    laid_out = [_laid_out(g, p) for g, p in zip(grads, params, strict=True)]
    pointers = [_pointers(tensors) for tensors in (params, laid_out, *states)]
    lists = [*pointers, _integers(map(Tensor.numel, params)), *arrays, _doubles(options)]
    _call(f"{name}_{_DTYPES[params[0].dtype]}", len(params), lists)
    torch.autograd.graph.increment_version(params)


def _call(name: str, count: int, lists: Sequence[array[Any]]) -> None:
    function = getattr(kernel_cache.load().library, name)
    function.restype = None
    addresses = (ctypes.c_void_p(numbers.buffer_info()[0]) for numbers in lists)
    # A profile shows operators of torch alone, unless told; asked first, as to tell costs as much as a small step.
    told = record_function(f"optathlon::{name}") if torch.autograd._profiler_enabled() else contextlib.nullcontext()
    with told:
        function(ctypes.c_int64(count), *addresses, ctypes.c_int(torch.get_num_threads()))


def _laid_out(grad: Tensor, param: Tensor) -> Tensor:
    """Returns the gradient in `param`'s dtype and layout: itself, or a copy."""
    if grad.dtype == param.dtype and not grad.is_neg():  # a negative is lazy: its memory has the other sign
        if grad.is_contiguous() and param.is_contiguous():
            return grad
        if grad.stride() == param.stride():
            return grad
    return torch.empty_like(param).copy_(grad)


def _pointers(tensors: Sequence[Tensor]) -> array[int]:
    return _integers(map(Tensor.data_ptr, tensors))


def _integers(values: Iterable[int]) -> array[int]:
    return array("q", values)


def _doubles(values: Iterable[float]) -> array[float]:
    return array("d", values)
