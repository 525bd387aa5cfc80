"""Time of an optimizer's step on the parameter shapes of real models, always beside torch's own.

    PYTHONPATH=. python benchmarks/optimizer_step.py --models resnet50 mobilenet_v2 --rounds 15 --threads 1

The rounds are interleaved in one process, all optimizers on the same parameters and gradients. Every ratio, to torch's
fused AdamW and to its fused SGD with momentum, is the median of the rounds' ratios; "least_over" is the ratio of the
fastest rounds of both, and the "q1" and "q3" are the ratios' quartiles. One thread on the CPU is timed in CPU seconds,
as others may use the machine. "over_floor" is the time over that
of moving, once, the bytes that the rule cannot do without (weight, gradient, state), at the speed of this machine's
copy_. "operators" are calls of PyTorch's dispatcher in a step, views left out; "scalar_reads" numbers that the host
reads, each a wait where they lie on a device; "launches" kernels on an accelerator. On the CPU, set
MALLOC_TRIM_THRESHOLD_ and MALLOC_MMAP_THRESHOLD_ to 1e11: else the page faults of temporaries are measured. All
optimizers of a model are in memory together.
"""

# pyright: reportPrivateImportUsage=false
from __future__ import annotations

import argparse
import importlib
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from optathlon.optimizers.rules.adabound import AdaBound
from optathlon.optimizers.rules.adam_sgd import AdamSGD
from optathlon.optimizers.rules.adamp import AdamP
from optathlon.optimizers.rules.adarem import AdaRem
from optathlon.optimizers.rules.muon import Muon
from optathlon.optimizers.rules.rmsprop_tf import RMSpropTF
from optathlon.optimizers.rules.sgdp import SGDP
from optathlon.optimizers.rules.soap import SOAP

Shapes = list[tuple[int, ...]]
SGD: dict[str, Any] = {"lr": 1e-6, "momentum": 0.9}


def torchvision_shapes(name: str) -> Shapes:
    models = importlib.import_module("torchvision.models")
    with torch.device("meta"):
        return [tuple(p.shape) for p in getattr(models, name)().parameters()]


def transformer_xl_shapes() -> Shapes:
    """Transformer-XL base on WikiText-103: 151,107,538 parameters."""
    layer = [(1230, 410), (410, 410), (410, 410), (410,), (410,)]
    layer += [(2100, 410), (2100,), (410, 2100), (410,), (410,), (410,)]
    return [(267735, 410), (267735,), (3, 410), (3,), (10, 41), (10, 41), *layer * 16]


def harmonic_cnn_shapes() -> Shapes:
    """Harmonic CNN on Speech Commands: 3,627,696 parameters."""

    def conv(i: int, o: int) -> Shapes:
        return [(o, i, 3, 3), (o,), (o,), (o,)]

    body = [*conv(6, 128), *conv(128, 128) * 6, *conv(128, 256), *conv(256, 256) * 4]
    return [(1,), (6,), (6,), *body, (256, 256), (256,), (256,), (256,), (35, 256), (35,)]


def awd_lstm_shapes() -> Shapes:
    """AWD-LSTM on Penn Treebank: 24,221,600 parameters."""

    def lstm(i: int, h: int) -> Shapes:
        return [(4 * h, i), (4 * h, h), (4 * h,), (4 * h,)]

    return [(10000, 400), (10000,), *lstm(400, 1150), *lstm(1150, 1150), *lstm(1150, 400)]


MODELS: dict[str, Callable[[], Shapes]] = {
    "resnet50": lambda: torchvision_shapes("resnet50"),
    "mobilenet_v2": lambda: torchvision_shapes("mobilenet_v2"),
    "transformer_xl": transformer_xl_shapes,
    "harmonic_cnn": harmonic_cnn_shapes,
    "awd_lstm": awd_lstm_shapes,
}


def outside(module: str, name: str, **options: Any) -> Callable[[list[Tensor]], torch.optim.Optimizer] | None:
    """The optimizer of another package; None if that is not installed."""
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError:
        return None
    return lambda params: found(params, **options)


ADAM: dict[str, Any] = {"lr": 1e-6}
CONTENDERS: dict[str, tuple[int, Callable[[list[Tensor]], torch.optim.Optimizer] | None]] = {
    "torch AdamW foreach": (28, lambda ps: torch.optim.AdamW(ps, **ADAM, foreach=True)),
    "torch AdamW fused": (28, lambda ps: torch.optim.AdamW(ps, **ADAM, fused=True)),
    "AdamP plain": (28, lambda ps: AdamP(ps, **ADAM, foreach=False)),
    "AdamP foreach": (28, lambda ps: AdamP(ps, **ADAM, foreach=True)),
    "AdamP fused": (28, lambda ps: AdamP(ps, **ADAM, fused=True)),
    "adamp AdamP": (28, outside("adamp", "AdamP", **ADAM)),
    "timm AdamP": (28, outside("timm.optim", "AdamP", **ADAM)),
    "pytorch_optimizer AdamP": (28, outside("pytorch_optimizer", "AdamP", **ADAM)),
    "pytorch_optimizer AdamP foreach": (28, outside("pytorch_optimizer", "AdamP", **ADAM, foreach=True)),
    "torch SGD foreach": (20, lambda ps: torch.optim.SGD(ps, **SGD, foreach=True)),
    "torch SGD fused": (20, lambda ps: torch.optim.SGD(ps, **SGD, fused=True)),
    "SGDP plain": (20, lambda ps: SGDP(ps, **SGD, nesterov=True, foreach=False)),
    "SGDP foreach": (20, lambda ps: SGDP(ps, **SGD, nesterov=True, foreach=True)),
    "SGDP fused": (20, lambda ps: SGDP(ps, **SGD, nesterov=True, fused=True)),
    "adamp SGDP": (20, outside("adamp", "SGDP", **SGD, nesterov=True)),
    "timm SGDP": (20, outside("timm.optim", "SGDP", **SGD, nesterov=True)),
    "pytorch_optimizer SGDP": (20, outside("pytorch_optimizer", "SGDP", **SGD, nesterov=True)),
    "AdaRem plain": (20, lambda ps: AdaRem(ps, lr=1e-6, foreach=False)),
    "AdaRem foreach": (20, lambda ps: AdaRem(ps, lr=1e-6, foreach=True)),
    "AdaRem fused": (20, lambda ps: AdaRem(ps, lr=1e-6, fused=True)),
    "AdaBound plain": (28, lambda ps: AdaBound(ps, **ADAM, foreach=False)),
    "AdaBound foreach": (28, lambda ps: AdaBound(ps, **ADAM, foreach=True)),
    "pytorch_optimizer AdaBound": (28, outside("pytorch_optimizer", "AdaBound", **ADAM)),
    "RMSpropTF plain": (28, lambda ps: RMSpropTF(ps, lr=1e-6, foreach=False)),
    "RMSpropTF foreach": (28, lambda ps: RMSpropTF(ps, lr=1e-6, foreach=True)),
    "AdamSGD plain": (28, lambda ps: AdamSGD(ps, lr=1e-6, foreach=False)),
    "AdamSGD foreach": (28, lambda ps: AdamSGD(ps, lr=1e-6, foreach=True)),
    "Muon plain": (20, lambda ps: Muon(ps, lr=1e-6, foreach=False)),
    "Muon foreach": (20, lambda ps: Muon(ps, lr=1e-6, foreach=True)),
    "SOAP plain": (28, lambda ps: SOAP(ps, lr=1e-6, foreach=False)),
    "SOAP foreach": (28, lambda ps: SOAP(ps, lr=1e-6, foreach=True)),
}
"""By name: bytes that a step must move for each parameter in float32 (SOAP's bases aside), and how to build it."""
USUAL = [name for name in CONTENDERS if not name.startswith(("Muon", "SOAP"))]
"""Without those whose step is mostly matrix products."""


class Counter(TorchDispatchMode):
    """Operators called, but for views, and scalars read: of step counters on the host, or waits for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.operators = self.reads = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "_local_scalar_dense" in str(func):
            self.reads += 1
        elif not func.is_view:
            self.operators += 1
        return func(*args, **(kwargs or {}))


def launches(step: Callable[[], Any], device: str) -> int | None:
    """Kernels that a step launches on an accelerator; None on the CPU."""
    if device == "cpu":
        return None
    with torch.profiler.profile() as profile:
        step()
    return sum(event.device_type != torch.autograd.DeviceType.CPU for event in profile.events() or ())


def parameters(shapes: Shapes, device: str) -> list[Tensor]:
    """Random weights; where they have four dimensions, with gradients orthogonal to them, as before a normalization."""
    generator = torch.Generator().manual_seed(0)
    params = []
    for shape in shapes:
        weight, grad = (torch.randn(shape, generator=generator) for _ in range(2))
        if len(shape) == 4:
            w, g = weight.flatten(1), grad.flatten(1)
            g -= (g * w).sum(1, keepdim=True) / (w * w).sum(1, keepdim=True) * w
        params.append(weight.to(device).requires_grad_())
        params[-1].grad = grad.to(device)
    return params


def seconds(action: Callable[[], Any], device: str) -> float:
    alone = device == "cpu" and torch.get_num_threads() == 1
    clock = time.thread_time if alone else time.perf_counter
    start = clock()
    action()
    if device != "cpu":
        torch.accelerator.synchronize()
    return clock() - start


def bandwidth(device: str) -> float:
    """Bytes a second of copying 256 MB, read and write counted."""
    source, target = (torch.ones(1 << 26, device=device) for _ in range(2))
    seconds(lambda: target.copy_(source), device)
    return 2 * source.nbytes / statistics.median(seconds(lambda: target.copy_(source), device) for _ in range(7))


def measure(model: str, names: list[str], rounds: int, device: str) -> list[dict[str, Any]]:
    params = parameters(MODELS[model](), device)
    count = sum(p.numel() for p in params)
    optimizers, counters = {}, {}
    for name in names:
        build = CONTENDERS[name][1]
        if build is None:
            continue
        optimizers[name] = build(params)
        optimizers[name].step()
        with Counter() as counters[name]:
            optimizers[name].step()
    times: dict[str, list[float]] = {name: [] for name in optimizers}
    for _ in range(rounds):
        for name, optimizer in optimizers.items():
            times[name].append(seconds(optimizer.step, device))
    speed = bandwidth(device)

    def ratios(taken: list[float], reference: str) -> dict[str, float]:
        """The rounds' ratios to the reference: median, quartiles, and that of the fastest rounds."""
        kind, other = reference.split()[1].lower(), times[reference]
        each = [a / b for a, b in zip(taken, other, strict=True)]
        low, middle, high = statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
        least = min(taken) / min(other)
        return {f"over_{kind}_fused": middle, f"{kind}_q1": low, f"{kind}_q3": high, f"least_over_{kind}": least}

    return [
        {
            "model": model,
            "optimizer": name,
            "milliseconds": 1e3 * statistics.median(taken),
            **ratios(taken, "torch AdamW fused"),
            **ratios(taken, "torch SGD fused"),
            "over_floor": statistics.median(taken) * speed / (CONTENDERS[name][0] * count),
            "operators": counters[name].operators,
            "scalar_reads": counters[name].reads,
            "launches": launches(optimizers[name].step, device),
            "state_bytes": sum(
                t.nbytes for s in optimizers[name].state.values() for t in s.values() if isinstance(t, Tensor)
            )
            / count,
        }
        for name, taken in times.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["resnet50", "mobilenet_v2", "harmonic_cnn"])
    parser.add_argument("--optimizers", nargs="+", choices=CONTENDERS, default=USUAL)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=Path, help="also write the rows into this file, as JSON, after each model")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    names = list(dict.fromkeys(["torch AdamW fused", "torch SGD fused", *arguments.optimizers]))
    rows: list[dict[str, Any]] = []
    for model in arguments.models:
        rows += measure(model, names, arguments.rounds, arguments.device)
        if arguments.save:
            arguments.save.write_text(json.dumps(rows, indent=1) + "\n")
    if arguments.json:
        print(json.dumps(rows, indent=1))
        return
    columns = [key for key in rows[0] if key not in ("model", "optimizer")]
    print(f"{'model':15}{'optimizer':32}" + "".join(f"{c:>18}" for c in columns))
    for row in rows:
        values = ("-" if row[c] is None else f"{row[c]:.4g}" for c in columns)
        print(f"{row['model']:15}{row['optimizer']:32}" + "".join(f"{v:>18}" for v in values))


if __name__ == "__main__":
    main()
