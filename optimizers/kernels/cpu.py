"""The fused kernels of AdamP, SGDP and AdaRem: on the CPU compiled when first asked for, kept in a cache, or done
without; on CUDA those of optimizers/kernels/cuda.py."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import importlib.resources
import logging
import os
import platform
import shutil
import subprocess
import tempfile
from array import array
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from optathlon.optimizers.kernels.rule import PROJECTIONS, Rule

_SOURCES = ("fused.cpp", "fused_adarem.cpp")
_FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
_DTYPES = {torch.float32: "float32", torch.float64: "float64"}
_log = logging.getLogger(__name__)


def cache_folder() -> Path:
    """Where compiled kernels are kept: $OPTATHLON_CACHE, or optathlon in the user's cache folder."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("OPTATHLON_CACHE") or Path(base) / "optathlon")


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled kernels; None, with a line in the log at level INFO, where there is no way to have them."""
    try:
        return ctypes.CDLL(str(_built()))
    except (OSError, RuntimeError, subprocess.SubprocessError) as error:
        _log.info("no fused CPU kernels, the plain implementation runs instead: %s", error)
        return None


def _built() -> Path:
    compiler = shutil.which(os.environ.get("CXX") or "c++") or shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        raise RuntimeError("found no C++ compiler (c++, g++, clang++, or $CXX)")
    room = importlib.resources.files(__name__.rpartition(".")[0])
    sources = {name: (room / name).read_text(encoding="utf-8") for name in _SOURCES}
    key = "\0".join([*sources.values(), compiler, *_FLAGS, platform.machine(), _cpu()])
    target = cache_folder() / f"fused-{hashlib.sha256(key.encode()).hexdigest()[:16]}.so"
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as folder:
            for name, text in sources.items():
                (Path(folder) / name).write_text(text, encoding="utf-8")
            output = Path(folder) / target.name
            _compile(compiler, [Path(folder) / name for name in sources], output)
            output.replace(target)
    return target


def _compile(compiler: str, files: Sequence[Path], output: Path) -> None:
    """With threads where the compiler has OpenMP, without where not."""
    for threads in (["-fopenmp"], []):
        command = [compiler, *_FLAGS, *threads, *map(str, files), "-o", str(output)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode == 0:
            return
    raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")


def _cpu() -> str:
    """What this processor can do: code for one must not be loaded on another that shares the folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), platform.processor())


def takes(params: Sequence[Tensor], dims: Sequence[tuple[int, ...] | None], *states: Sequence[Tensor]) -> list[bool]:
    """For each parameter whether the kernels can step it: dense float32 or float64 on the CPU, rows in dimension 0."""
    if library() is None:
        return [False] * len(params)
    return [_takes(p, d, own) for p, d, *own in zip(params, dims, *states, strict=True)]


def _takes(param: Tensor, dims: tuple[int, ...] | None, states: Sequence[Tensor]) -> bool:
    dtype = param.dtype
    if dtype not in _DTYPES or not param.is_cpu or type(param) not in (Tensor, torch.nn.Parameter):
        return False
    if dims is not None and dims != tuple(range(1, param.ndim)):
        return False
    contiguous = param.is_contiguous()
    for state in states:  # all laid out alike, dense
        if state.dtype != dtype or not (
            (contiguous and state.is_contiguous()) or (_is_dense(param) and state.stride() == param.stride())
        ):
            return False
    return contiguous or _is_dense(param)


def _is_dense(param: Tensor) -> bool:
    """Whether dimension 0 is the outermost in memory, without gaps."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    last = formats.get(param.ndim)
    return param.is_contiguous() or (last is not None and param.is_contiguous(memory_format=last))


def adamp(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    steps: Sequence[float],
    dims: Sequence[tuple[int, ...] | None],
    views: Sequence[Tensor | None],
    *,
    rule: Rule,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    wd_ratio: float,
    nesterov: bool,
    maximize: bool,
) -> list[Tensor | None]:
    """One AdamP step on tensors that `takes` takes, all of one dtype; `steps` already counts this one.

    views: those of the step before, None where there is none; a step is faster where they hold.
    """
    options = (lr, *betas, eps, weight_decay, rule.delta, wd_ratio, _code(rule), nesterov, maximize)
    return _call("adamp", params, [grads, exp_avgs, exp_avg_sqs], dims, views, [_doubles(steps)], options)


def sgdp(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    buffers: Sequence[Tensor],
    dims: Sequence[tuple[int, ...] | None],
    views: Sequence[Tensor | None],
    *,
    rule: Rule,
    lr: float,
    momentum: float,
    dampening: float,
    weight_decay: float,
    nesterov: bool,
    wd_ratio: float,
    project_buffer: bool,
    maximize: bool,
) -> list[Tensor | None]:
    """One SGDP step on tensors that `takes` takes, all of one dtype; `views` as for `adamp`."""
    options = (
        lr, momentum, dampening, rule.eps, weight_decay, rule.delta, wd_ratio, _code(rule),
        nesterov, maximize, project_buffer,
    )  # fmt: skip
    return _call("sgdp", params, [grads, buffers], dims, views, [], options)


def adarem(
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    rates: Sequence[float],
    limits: Sequence[Tensor],
    largest: Sequence[Tensor],
    *,
    shrink: float,
    damping: float,
    beta: float,
    eps: float,
    relative: bool,
) -> None:
    """One AdaRem step on tensors that `takes` takes, all of one dtype.

    limits: what stands for max |exp_avg| in this step. largest: where that of the next one is written; these may be the
        limits. Both without dimensions, of the parameters' dtype, on the CPU.
    """
    arrays = [_doubles(rates), _pointers(limits), _pointers(largest)]
    _run("adarem", params, grads, [exp_avgs], arrays, (shrink, damping, 1 - beta, eps, relative))


def _call(
    name: str,
    params: Sequence[Tensor],
    others: list[Sequence[Tensor]],
    dims: Sequence[tuple[int, ...] | None],
    before: Sequence[Tensor | None],
    more: list[array[Any]],
    options: Sequence[float],
) -> list[Tensor | None]:
    """A step of a projected optimizer; returns the view of each tensor that could be projected."""
    rows = _integers(0 if d is None else p.shape[0] for p, d in zip(params, dims, strict=True))
    guesses = [0.0 if v is None else v.item() for v in before]
    views = _doubles(guesses)
    _run(name, params, others[0], others[1:], [rows, *more, views], options)
    found: list[Tensor | None] = [None] * len(params)
    for i, (over, old, guess, view) in enumerate(zip(dims, before, guesses, views, strict=True)):
        if over is not None:
            found[i] = old if old is not None and view == guess else params[i].new_tensor(view)
    return found


def _run(
    name: str,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor]],
    arrays: Sequence[array[Any]],
    options: Sequence[float],
) -> None:
    function = getattr(library(), f"{name}_{_DTYPES[params[0].dtype]}")
    function.restype = None
    laid_out = [_laid_out(g, p) for g, p in zip(grads, params, strict=True)]
    pointers = [_pointers(tensors) for tensors in (params, laid_out, *states)]
    lists = [*pointers, _integers(map(Tensor.numel, params)), *arrays, _doubles(options)]
    count, threads = ctypes.c_int64(len(params)), ctypes.c_int(torch.get_num_threads())
    function(count, *(ctypes.c_void_p(each.buffer_info()[0]) for each in lists), threads)
    torch.autograd.graph.increment_version(params)


def _laid_out(grad: Tensor, param: Tensor) -> Tensor:
    if grad.dtype == param.dtype and not grad.is_neg():  # a negative is lazy: its memory has the other sign
        if grad.is_contiguous() and param.is_contiguous():
            return grad
        if grad.stride() == param.stride():
            return grad
    return torch.empty_like(param).copy_(grad)


def _code(rule: Rule) -> int:
    """As the kernels' enum has it; "off" has no rows to ask about."""
    return PROJECTIONS.index(rule.projection) % 3


def _pointers(tensors: Sequence[Tensor]) -> array[int]:
    return _integers(map(Tensor.data_ptr, tensors))


def _integers(values: Iterable[int]) -> array[int]:
    return array("q", values)


def _doubles(values: Iterable[float]) -> array[float]:
    return array("d", values)
