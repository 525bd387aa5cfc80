"""What the GPU kit checks: commands, most valuable first, each with the most seconds it may take."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
PYTHON = [sys.executable, "-P"]
FAMILIES = (
    "biased-mnist-0.990", "ptb-awd-lstm", "speech-commands", "wikitext103-txl", "wikitext103-llama", "cub-proxyanchor",
    "imagenet-resnet18", "coco-centernet-random", "cifar10-linf4", "imagenet9-rebias", "mtat", "dcase2017",
)  # fmt: skip
MINI = ("cub-proxyanchor", "ptb-awd-lstm")
"""Trained at `mini` too, with adamw and adamp: a network with normalized weights, and one without."""
SLOWER = 4
"""By what a CPU's parts may take longer."""
OPTIMIZER_STEP, TRAINING_STEP, TRAINING_STEP_16, TRANSFORMER_XL = (
    "optimizer-step.json", "training-step.json", "training-step-16.json", "transformer-xl.json",
)  # fmt: skip
"""What the measuring parts write, and goals.py reads."""


class Part(NamedTuple):
    """One check: a command, and how many seconds it may take at most."""

    name: str
    command: list[str]
    seconds: float


def parts(device: str, data: Path, output: Path) -> Iterator[Part]:
    """Yields all parts; miniatures lie in `data`, stores and measurements in `output`. A CPU gets more time."""
    for part in _parts(device, data, output):
        yield part if device == "cuda" else part._replace(seconds=SLOWER * part.seconds)


def _parts(device: str, data: Path, output: Path) -> Iterator[Part]:
    folders = ["tests/optimizers/kernels", "tests/suite/training"]
    yield Part(
        "tests marked gpu", [*PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", *folders], 180
    )
    yield from measuring_parts(device, output)
    miniatures = [*PYTHON, "-m", "optathlon", "data", "miniature", *sorted(dataset_names()), "--data", str(data)]
    yield Part("miniatures", miniatures, 120)
    where = ["--data", str(data), "--store", str(output / "store"), "--device", device]
    for task in FAMILIES:
        run = [*PYTHON, "-m", "optathlon", "run", task, "adamp", "lr=1e-3", "--scale", "smoke", *where]
        yield Part(f"smoke run of {task}", run, 90)
    shortened = [] if device == "cuda" else ["protocol.length=1"]
    for task in MINI:
        for optimizer in ("adamw", "adamp"):
            run = [*PYTHON, "-m", "optathlon", "run", task, optimizer, "lr=1e-3", *shortened, "--scale", "mini", *where]
            yield Part(f"mini run of {task}, {optimizer}", run, 300)


def measuring_parts(device: str, output: Path) -> Iterator[Part]:
    """Yields the benchmarks; on a CPU they are small, and only show that they run."""

    def benchmark(file: str, saved: str, *words: str) -> list[str]:
        where = ["--device", device, "--save", str(output / saved)]
        return [*PYTHON, str(ROOT / "benchmarks" / file), *where, *words]

    on_gpu = device == "cuda"
    models = ("resnet50", "mobilenet_v2") if on_gpu else ("resnet50",)
    few = (
        () if on_gpu else ("--rounds", "3", "--optimizers", "AdamP fused", "adamp AdamP", "SGDP fused", "AdaRem fused")
    )
    step = benchmark("optimizer_step.py", OPTIMIZER_STEP, "--models", *models, *few)
    yield Part("optimizer step", step, 120)
    large = ("--precision", "bf16", "--compile", "--crop", "224", "--tasks", "imagenet-resnet50")
    small = ("--rounds", "3", "--warmup", "1", "--narrow", "--tasks", "imagenet-resnet18")
    how = large if on_gpu else small
    batch = "256" if on_gpu else "8"
    train = benchmark("train_step.py", TRAINING_STEP, *how, "--batch", batch, "--optimizers", "adamp", "adamw")
    yield Part("training step", train, 150)
    batch = "16" if on_gpu else "4"
    train = benchmark("train_step.py", TRAINING_STEP_16, *how, "--batch", batch, "--optimizers", "adamp")
    yield Part("training step, small batch", train, 90)
    size = (
        ("--precision", "bf16", "--streams", "60") if on_gpu else ("--size", "half", "--streams", "1", "--rounds", "3")
    )
    yield Part("Transformer-XL's step", benchmark("language.py", TRANSFORMER_XL, *size), 60)


def dataset_names() -> set[str]:
    """Returns the data sets of all families."""
    from optathlon import tasks

    return {name for family in FAMILIES for name in tasks.task(family).datasets}
