"""Robustness to a bias that holds in training but not in the test: ReBias on Biased-MNIST and nine ImageNet classes."""

from __future__ import annotations

from typing import Any

from optathlon.tasks.schedule import Cosine, Step
from optathlon.tasks.task import Metric, Protocol, Task

PAPER: dict[str, Any] = {
    "lambda_f": 1.0,
    "lambda_g": 1.0,
    "sigma": 1.0,
    "channels": [16, 32, 64, 128],
    "kernel_f": 7,
    "kernel_g": 1,
    "train_images": 60000,
    "test_images": 10000,
    "block": 1,
}
MINI: dict[str, Any] = PAPER | {"channels": [8, 16, 32, 64]}
SMOKE: dict[str, Any] = PAPER | {
    "channels": [8, 16, 16, 32],
    "train_images": 1500,
    "test_images": 400,
    "block": 3,
}


def _protocols(rho: float, rho_of_smoke: float) -> dict[str, Protocol]:
    return {
        "paper": Protocol(
            length=80, batch=256, schedule=Step(every=20), watch=("test",), settings=PAPER | {"rho": rho}
        ),
        "mini": Protocol(length=20, batch=256, schedule=Step(every=5), watch=("test",), settings=MINI | {"rho": rho}),
        "smoke": Protocol(
            length=14,
            batch=32,
            schedule=Step(every=10),
            evaluate_every=2,
            watch=("test",),
            settings=SMOKE | {"rho": rho_of_smoke},
        ),
    }


def _biased_mnist(rho: str, rho_of_smoke: float) -> Task:
    return Task(
        name=f"biased-mnist-{rho}",
        benchmark="biased-mnist",
        family="rebias",
        summary=f"Digits on a background whose color gives the label away in {rho} of the training images",
        metrics=(
            Metric("unbiased", "%", higher_is_better=True),
            Metric("biased", "%", higher_is_better=True),
            Metric("rho0", "%", higher_is_better=True),
            Metric("loss", "nats", higher_is_better=False),
        ),
        protocols=_protocols(float(rho), rho_of_smoke),
        workload="optathlon.tasks.rebias.biased_mnist:BiasedMnist",
        check="optathlon.tasks.rebias.settings:BiasedMnistSettings.read",
        references="optathlon.tasks.rebias.references:biased_mnist",
        datasets=("mnist",),
        source="Heo et al. 2021 (AdamP), Table D.1 and section E.4.2; Bahng et al. 2020 (ReBias)",
        version=1,
    )


NINE: dict[str, Any] = {
    "lambda_f": 1.0,
    "lambda_g": 1.0,
    "width": 64,
    "sampled": 0.25,
    "resize": 256,
    "crop": 224,
    "smallest_crop": 0.08,
    "smallest_cell": 10,
    "train_images": 0,
}
NINE_MINI: dict[str, Any] = NINE | {"width": 32, "resize": 72, "crop": 64, "smallest_crop": 0.25, "train_images": 1000}
NINE_SMOKE: dict[str, Any] = NINE | {
    "width": 8,
    "resize": 32,
    "crop": 28,
    "sampled": 0.1,
    "smallest_crop": 0.7,
    "smallest_cell": 5,
    "train_images": 150,
}

IMAGENET9 = Task(
    name="imagenet9-rebias",
    benchmark="imagenet9",
    family="rebias",
    summary=(
        "Nine classes of ImageNet, ResNet-18 trained to differ from a BagNet-18 that sees textures only, judged across"
        " textures and on ImageNet-A. mini: half the channels, 64 x 64 pixels, 1,000 photos a class, 30 epochs. smoke:"
        " an eighth of the channels, 28 x 28 pixels, 150 photos a class, 4 epochs."
    ),
    metrics=(
        Metric("unbiased", "%", higher_is_better=True),
        Metric("biased", "%", higher_is_better=True),
        Metric("imagenet_a", "%", higher_is_better=True),
        Metric("loss", "nats", higher_is_better=False),
    ),
    protocols={
        "paper": Protocol(length=120, batch=128, schedule=Cosine(), watch=("test",), settings=NINE),
        "mini": Protocol(
            length=30, batch=128, schedule=Cosine(), evaluate_every=5, watch=("test",), settings=NINE_MINI
        ),
        "smoke": Protocol(
            length=4, batch=40, schedule=Cosine(), evaluate_every=4, watch=("test",), settings=NINE_SMOKE
        ),
    },
    workload="optathlon.tasks.rebias.imagenet9.workload:ImageNet9ReBias",
    check="optathlon.tasks.rebias.imagenet9.settings:ImageNet9Settings.read",
    references="optathlon.tasks.rebias.imagenet9.references:pixels",
    datasets=("imagenet9", "imagenet-a"),
    source="Heo et al. 2021 (AdamP), Table D.1 and section E.4.2; Bahng et al. 2020 (ReBias)",
    version=1,
)
TASKS = (  # smoke has a fortieth of the images, so it colors twenty times as many oddly: 0.1 % of a class would be none
    _biased_mnist("0.999", 0.98),
    _biased_mnist("0.997", 0.94),
    _biased_mnist("0.995", 0.90),
    _biased_mnist("0.990", 0.80),
    IMAGENET9,
)
DATASETS = {
    "mnist": "optathlon.tasks.rebias.mnist.dataset:Mnist",
    "imagenet9": "optathlon.tasks.rebias.imagenet9.dataset:ImageNet9",
    "imagenet-a": "optathlon.tasks.rebias.imagenet9.dataset:ImageNetA",
}
