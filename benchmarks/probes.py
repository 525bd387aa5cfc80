"""What norms and probes cost: python benchmarks/probes.py --batch 16 --size 64 --rounds 9

A ResNet-18 is trained on random pictures; updates without, with the standard norms and with each probe take turns. A
ratio is the time of an update that is measured to that of one that is not. Probes but oscillation
and trajectory look at one update an epoch, so that their share of a run is (ratio - 1) by the updates of an epoch.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch
import torchvision
from torch.nn import functional

from optathlon.optimizers.rules.sgdp import SGDP
from optathlon.suite.probes import PROBES
from optathlon.suite.training.probes.recorder import FOLLOWING, Recorder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=64, help="side of the pictures")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = torchvision.models.resnet18(num_classes=100).to(options.device)
    optimizer = SGDP(net.parameters(), lr=0.01, momentum=0.9)
    pictures = torch.randn(options.batch, 3, options.size, options.size, device=options.device)
    labels = torch.randint(100, (options.batch,), device=options.device)
    invariant = [name for name, weight in net.named_parameters() if weight.ndim == 4]
    kinds = {"none": None, "norms": [], **{name: [name] for name in PROBES}}
    recorders = {
        kind: Recorder("model", net, optimizer, invariant, probes or [], lambda *_: None)
        for kind, probes in kinds.items()
    }

    def update(kind: str) -> float:
        if options.device == "cuda":
            torch.cuda.synchronize()
        start = time.perf_counter()
        optimizer.zero_grad()
        functional.cross_entropy(net(pictures), labels).backward()
        with recorders[kind].watching(kind not in ("none", *FOLLOWING)):
            optimizer.step()
        if options.device == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    seconds: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            seconds[kind].append(update(kind))
    print(
        f"ResNet-18, batch {options.batch}, {options.size} pixels, {options.device}, median of {options.rounds} rounds"
    )
    for kind in kinds:
        ratios = sorted(a / b for a, b in zip(seconds[kind], seconds["none"], strict=True))
        low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
        print(f"{kind:16} {statistics.median(ratios):6.3f}  (quartiles {low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
