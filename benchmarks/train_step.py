"""The suite's training step beside torchvision's and timm's own loops, on the same network, in turn:
python benchmarks/train_step.py

On a GPU: python benchmarks/train_step.py --device cuda --precision bf16 --compile --batch 256 --crop 224"""

from __future__ import annotations

import argparse
import copy
import dataclasses
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.nn.functional import cross_entropy  # noqa: E402
from torch.utils.data._utils.pin_memory import pin_memory  # noqa: E402

from optathlon import optimizers, tasks  # noqa: E402
from optathlon.suite.identity import Problem, Run, Setting  # noqa: E402
from optathlon.suite.network_options import MEMORY_FORMATS, NetworkOptions  # noqa: E402
from optathlon.suite.training.loop import update  # noqa: E402
from optathlon.suite.training.state import State  # noqa: E402
from optathlon.tasks.data.dataset import build  # noqa: E402
from optathlon.tasks.imagenet.workload import ImageNet  # noqa: E402
from optathlon.tasks.images.transforms import normalize  # noqa: E402

OPTIMIZERS = {
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-4},
    "adamw": {"lr": 1e-3, "weight_decay": 0.1},
    "adamp": {"lr": 1e-3, "weight_decay": 1e-2},
}
Step = Callable[[], object]


def suite_state(options: argparse.Namespace, task: str, optimizer: str, data: Path) -> State:
    """The state of a run on the miniature, as `optathlon run` would have it."""
    settings = {"crop": options.crop, "resize": options.crop + options.crop // 8, "dropout": 0.0, "training_photos": 0}
    settings |= {} if options.narrow else {"width": 1.0, "depth": 1.0}
    protocol = tasks.task(task).protocol("smoke")
    protocol = protocol.override({"batch": options.batch, "precision": options.precision, "settings": settings})
    values = optimizers.optimizer(optimizer).resolve(OPTIMIZERS[optimizer])
    problem = Problem(task=task, version=1, scale="smoke", data={}, protocol=protocol)
    setting = Setting(optimizer=optimizer, version=1, hyperparameters=values)
    torch.manual_seed(0)
    workload = ImageNet(protocol, data, device=options.device)
    state = State(Run(problem=problem, setting=setting, seed=0), workload)
    NetworkOptions(options.compile, options.memory_format).apply(workload)
    return state


def peers(state: State, options: argparse.Namespace) -> tuple[dict[str, Step], Callable[[], float]]:
    """Steps of the suite, torchvision's references/classification and timm's train.py; and their networks' time in
    `optimizer.step`, in seconds a step.

    All step by the implementation that a run takes, so that loops are compared. The peers' pictures are normalized
    before, in their data workers, and on the device; the suite copies its own there, from where data workers put them,
    and normalizes them.
    """
    batch = next(state.workload.batches(0))
    device = state.workload.device
    if device.type == "cuda":
        batch = dataclasses.replace(batch, data=pin_memory(batch.data))
    images = normalize(batch.data.pixels.to(device), state.workload.memory_format)
    labels = batch.data.labels.to(device)
    made: dict[str, Step] = {"suite": lambda: suite(state, batch)}
    for name, loop in (("torchvision", torchvision_step), ("timm", timm_step)):
        net, optimizer, scaler = copy_of(state, options)
        made[name] = lambda loop=loop, n=net, o=optimizer, s=scaler: loop(n, o, s, images, labels, options.precision)
    net, optimizer, _ = copy_of(state, options)
    cross_entropy(net(images), labels).backward()
    return made, lambda: timed(optimizer.step, device)


def copy_of(state: State, options: argparse.Namespace) -> tuple[nn.Module, torch.optim.Optimizer, torch.amp.GradScaler]:
    net = copy.deepcopy(state.workload.players["model"]).train()
    if options.compile:
        net.compile()
    spec, hyperparameters = state.spec, state.run.setting.hyperparameters
    optimizer = spec.build([{"params": [*net.parameters()]}], hyperparameters, "auto")
    return net, optimizer, torch.amp.GradScaler(options.device, enabled=options.precision == "fp16")


def suite(state: State, batch) -> None:
    means = {"model": update(state, "model", [batch])}
    state.advance([batch], means)


def autocast(device: str, precision: str) -> torch.autocast:
    dtype = {"fp32": torch.bfloat16, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]
    return torch.autocast(device, dtype=dtype, enabled=precision != "fp32")


def torchvision_step(net, optimizer, scaler, images: Tensor, labels: Tensor, precision: str) -> None:
    """Its loop reads the loss and two accuracies of each batch."""
    with autocast(images.device.type, precision):
        output = net(images)
        loss = cross_entropy(output, labels)
    optimizer.zero_grad()
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    best = output.topk(5, 1).indices.eq(labels[:, None])
    _ = (best[:, :1].sum().item(), best.sum().item(), loss.item())


def timm_step(net, optimizer, scaler, images: Tensor, labels: Tensor, precision: str) -> None:
    """Its loop reads the loss only where it logs."""
    with autocast(images.device.type, precision):
        loss = cross_entropy(net(images), labels)
    scaler.scale(loss).backward()
    scaler.step(optimizer)
    scaler.update()
    optimizer.zero_grad()


def timed(step: Step, device: torch.device) -> float:
    """Seconds of one step: of CPU time on a CPU, which others' load does not count in, else by the clock."""
    if device.type == "cpu":
        begun = time.process_time()
        step()
        return time.process_time() - begun
    torch.cuda.synchronize()
    begun = time.perf_counter()
    step()
    torch.cuda.synchronize()
    return time.perf_counter() - begun


def measure(options: argparse.Namespace, task: str, optimizer: str, data: Path) -> dict[str, Any]:
    """Prints and returns the suite's images per second, its speed over each peer's, and the optimizer's part of it."""
    state = suite_state(options, task, optimizer, data)
    steps, stepping = peers(state, options)
    times: dict[str, list[float]] = {name: [] for name in steps}
    alone: list[float] = []
    for number in range(options.warmup + options.rounds):
        for name, step in steps.items():  # in turn, so that a busy machine is busy for all
            seconds = timed(step, state.workload.device)
            if number >= options.warmup:
                times[name].append(seconds)
        alone.append(stepping())
    middle = statistics.median(times["suite"])
    row = {
        "task": task, "optimizer": optimizer, "batch": options.batch, "images_per_second": options.batch / middle,
        **{f"of_{name}": statistics.median(t / s for t, s in zip(times[name], times["suite"], strict=True))
           for name in ("torchvision", "timm")},
        "optimizer_percent": 100 * statistics.median(alone[options.warmup :]) / middle,
        "peak_gpu_megabytes": peak_megabytes(steps["suite"], state.workload.device),
    }  # fmt: skip
    print(
        f"{task:28} {optimizer:6} suite {row['images_per_second']:8.0f} images/s,"
        f" {row['of_torchvision']:.2f} of torchvision's, {row['of_timm']:.2f} of timm's;"
        f" the optimizer takes {row['optimizer_percent']:.2g} %"
        + (f"; a step holds at most {row['peak_gpu_megabytes']:.0f} MB" if row["peak_gpu_megabytes"] else ""),
        flush=True,
    )
    return row


def peak_megabytes(step: Step, device: torch.device) -> float | None:
    """What a step holds at most on a GPU, with the weights and states of all that are compared; None on a CPU."""
    if device.type == "cpu":
        return None
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return torch.cuda.max_memory_allocated(device) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", nargs="+", default=["imagenet-resnet18", "imagenet-resnet50"])
    parser.add_argument("--optimizers", nargs="+", choices=OPTIMIZERS, default=[*OPTIMIZERS])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="fp32")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--crop", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--compile", action="store_true", help="all networks by torch.compile")
    parser.add_argument("--memory-format", choices=MEMORY_FORMATS, default="auto", help="of all networks and pictures")
    parser.add_argument("--narrow", action="store_true", help="a quarter of the published widths and depths")
    parser.add_argument("--save", type=Path, help="also write the rows into this file, as JSON, after each of them")
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = "a quarter as wide and deep" if options.narrow else "as published"
    print(f"{options.device}, {options.precision}, batch {options.batch} of {options.crop} px, networks {size}")
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        build(tasks.dataset("imagenet"), Path(folder), "miniature")
        for task in options.tasks:
            for optimizer in options.optimizers:
                rows.append(measure(options, task, optimizer, Path(folder)))
                if options.save:
                    options.save.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
