"""Robustness to attacks: adversarial training on CIFAR-10 under three threat models."""

from __future__ import annotations

from typing import Any

from optathlon.tasks.cifar.settings import THREATS
from optathlon.tasks.schedule import MultiStep
from optathlon.tasks.task import Metric, Protocol, Task

DATASETS = {"cifar10": "optathlon.tasks.cifar.cifar10.dataset:Cifar10"}

PAPER: dict[str, Any] = {
    "depth": 34,
    "widen": 10,
    "stem": 16,
    "step_size": 2.0,
    "evaluation_step_size": 2.0,
    "step_rule": "sign",
    "train_images": 50000,
    "test_images": 10000,
    "block": 1,
}
MINI: dict[str, Any] = {"depth": 16, "widen": 2, "test_images": 2000}
SMOKE: dict[str, Any] = {"depth": 10, "widen": 1, "stem": 8, "train_images": 1100, "test_images": 200, "block": 2}


def _protocols(epsilon: float, steps: int) -> dict[str, Protocol]:
    training = PAPER | {"epsilon": epsilon, "steps": steps}
    return {
        # The code counts epochs from 1 and steps the schedule as one begins: epochs 100 and 150 have the lower rate.
        "paper": Protocol(
            length=200,
            batch=128,
            schedule=MultiStep(milestones=(99, 149)),
            evaluate_every=10,
            watch=("test",),
            settings=training,
        ),
        "mini": Protocol(
            length=20,
            batch=128,
            schedule=MultiStep(milestones=(10, 15)),
            evaluate_every=5,
            watch=("test",),
            settings=training | MINI,
        ),
        "smoke": Protocol(
            length=8,
            batch=32,
            schedule=MultiStep(milestones=(6,)),
            evaluate_every=8,
            watch=("test",),
            settings=training | SMOKE | {"steps": 2},
        ),
    }


def _task(threat: str, title: str, workload: str, epsilon: float, steps: int) -> Task:
    attacked = tuple(Metric(name, "%", higher_is_better=True) for name in THREATS[threat].evaluated)
    return Task(
        name=f"cifar10-{threat}",
        benchmark="cifar10-adversarial",
        family="cifar",
        summary=(
            f"CIFAR-10, WRN-34-10 trained and judged on images attacked within {title}, {steps} steps of PGD in"
            " training. mini: WRN-16-2, 20 epochs for 200. smoke: three blocks of 8 to 32 channels, 16 x 16 pixels,"
            " 1,100 images, 2 steps."
        ),
        metrics=(
            *attacked,
            Metric("standard", "%", higher_is_better=True),
            Metric("loss", "nats", higher_is_better=False),
        ),
        protocols=_protocols(epsilon, steps),
        workload=f"optathlon.tasks.cifar.workload:{workload}",
        check="optathlon.tasks.cifar.settings:AdversarialSettings.read",
        references=f"optathlon.tasks.cifar.references:{threat}",
        datasets=("cifar10",),
        source="Heo et al. 2021 (AdamP), Table E.2 and section E.4.1; Madry et al. 2018",
        version=1,
    )


TASKS = (
    _task("linf4", "4/255 a pixel", "Linf4", epsilon=4.0, steps=10),
    _task("l2", "80/255 by l2 norm", "L2", epsilon=80.0, steps=10),
    _task("linf8", "8/255 a pixel", "Linf8", epsilon=8.0, steps=7),
)
