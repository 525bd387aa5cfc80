"""What a fused step on a GPU costs its host, measured without a GPU: python benchmarks/host_cost.py --rounds 60

Triton's kernels and torch's fused ones are replaced by nothing, and the tensors lie in the CPU's memory. What is left
is what bounds a step on a GPU, if the network is no giant: Python and the operators around the kernels. Not in it: what
Triton and CUDA take for a launch: three for AdamP and SGDP, one for AdaRem. Rounds are interleaved, in CPU seconds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

os.environ["TRITON_INTERPRET"] = "1"  # before Triton is imported: so its kernels take tensors on the CPU
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from benchmarks.optimizer_step import MODELS  # noqa: E402
from optathlon.optimizers.kernels import triton_kernels  # noqa: E402
from optathlon.optimizers.rules.adamp import AdamP  # noqa: E402
from optathlon.optimizers.rules.adarem import AdaRem  # noqa: E402
from optathlon.optimizers.rules.sgdp import SGDP  # noqa: E402

MOMENTUM: dict[str, Any] = {"lr": 0.1, "momentum": 0.9}
CONTENDERS = {
    "AdamP": ("torch AdamW", lambda params: AdamP(params, fused=True)),
    "SGDP": ("torch SGD", lambda params: SGDP(params, **MOMENTUM, fused=True)),
    "AdaRem": ("torch SGD", lambda params: AdaRem(params, lr=0.1, fused=True)),
    "torch AdamW": ("torch AdamW", lambda params: torch.optim.AdamW(params, fused=True)),
    "torch SGD": ("torch SGD", lambda params: torch.optim.SGD(params, **MOMENTUM, fused=True)),
}
"""By name: which of torch's it is compared with, and how to build it."""


class NoKernel:
    """Stands in for a kernel, and does nothing."""

    def __getitem__(self, grid: Any) -> Any:
        return self

    def __call__(self, *args: Any, **options: Any) -> None:
        return None


def without_kernels() -> None:
    for name in ("advance", "decide", "descend", "adarem"):
        setattr(triton_kernels, name, NoKernel())
    for name in ("_fused_adamw_", "_fused_sgd_"):
        setattr(torch, name, NoKernel())


def measure(model: str, rounds: int) -> None:
    params = [torch.zeros(shape).requires_grad_() for shape in MODELS[model]()]
    for param in params:
        param.grad = torch.zeros_like(param)
    optimizers = {name: build(params) for name, (_, build) in CONTENDERS.items()}
    taken: dict[str, list[float]] = {name: [] for name in optimizers}
    for number in range(rounds + 3):
        for name, optimizer in optimizers.items():
            begun = time.process_time()
            optimizer.step()
            if number >= 3:  # the first steps make state, and prepare
                taken[name].append(1e6 * (time.process_time() - begun))
    for name, (reference, _) in CONTENDERS.items():
        ratios = [ours / theirs for ours, theirs in zip(taken[name], taken[reference], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(
            f"| {model} | {name} | {statistics.median(taken[name]):.0f} ({min(taken[name]):.0f}) µs"
            f" | {middle:.2f} ({low:.2f} to {high:.2f}) |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["resnet50", "mobilenet_v2"])
    parser.add_argument("--rounds", type=int, default=60)
    options = parser.parse_args()
    torch.set_num_threads(1)
    without_kernels()
    print("| model | step | host, median (least) | of torch's fused (quartiles) |\n|---|---|---|---|", flush=True)
    for model in options.models:
        measure(model, options.rounds)


if __name__ == "__main__":
    main()
