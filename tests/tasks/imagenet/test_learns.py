"""Every task learns its miniature with the optimizers of its table.

Here each task is trained once and each optimizer at least once; OPTATHLON_EVERY_PAIR=1 trains every task with every
optimizer of its table, some ten minutes on a core.
"""

from __future__ import annotations

import itertools
import math
import os

import pytest
import torch

from optathlon.tasks.imagenet import TASKS
from optathlon.tasks.registry import resolve
from optathlon.tasks.verified_workload import scores_of
from tests.tasks.imagenet.test_workload import optimizer_of, train

RATES = {
    "sgd": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "sgdp": {"lr": 0.1, "momentum": 0.9, "nesterov": True},
    "adam": {"lr": 3e-3},
    "adamw": {"lr": 3e-3},
    "adamp": {"lr": 3e-3},
    "rmsprop": {"lr": 1e-3},
    "rmsprop_tf": {"lr": 3e-3},
    "adabound": {"lr": 3e-3, "final_lr": 0.1},
    "adarem": {"lr": 0.3},
    "adarem_s": {"lr": 0.3},
}
ADAMP_2 = ("sgd", "sgdp", "adam", "adamw", "adamp")
TABLES = {
    "imagenet-resnet50-batch-": ("adamw", "adamp"),
    "imagenet-efficientnet-": ("rmsprop_tf", "adamp"),
    "imagenet-rexnet-": ("sgd", "adamp"),
    "imagenet-adarem-resnet18": ("sgd", "adam", "adamw", "adabound", "rmsprop", "adarem", "adarem_s"),
    "imagenet-adarem-": ("sgd", "adarem_s"),
    "imagenet-": ADAMP_2,
}
CLASSES = 6
QUICK = {"classes": CLASSES, "training_photos": 40, "evaluation_photos": 10, "train_loss_photos": 10}


def of_its_table(task: str) -> tuple[str, ...]:
    return next(optimizers for begins, optimizers in TABLES.items() if task.startswith(begins))


def pairs() -> list[tuple[str, str]]:
    """Each task with one optimizer of its table, and the table with the most optimizers with all of them."""
    every = [(task.name, optimizer) for task in TASKS for optimizer in of_its_table(task.name)]
    if os.environ.get("OPTATHLON_EVERY_PAIR") == "1":
        return every
    chosen = [(t.name, of_its_table(t.name)[n % len(of_its_table(t.name))]) for n, t in enumerate(TASKS)]
    rest = {optimizer: (task, optimizer) for task, optimizer in every if optimizer not in {o for _, o in chosen}}
    return [*chosen, *rest.values()]


def test_every_task_and_every_optimizer_is_trained() -> None:
    assert {task for task, _ in pairs()} == {task.name for task in TASKS}
    assert {optimizer for _, optimizer in pairs()} == set(RATES) == set(itertools.chain(*TABLES.values()))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimizer"), pairs())
def test_it_learns_its_miniature(miniature, name, optimizer) -> None:
    """The loss on photos that it has not seen falls below that of chance, and accuracy rises above it."""
    task = {t.name: t for t in TASKS}[name]
    settings = QUICK | {"mixing": "none", "randaugment": 0.0, "label_smoothing": 0.0}
    protocol = task.protocol("smoke").override(
        {"length": 6, "unit": "epochs", "batch": 16, "micro_batch": 16, "settings": settings}
    )
    torch.default_generator.manual_seed(0)
    live = resolve(task.workload)(protocol, miniature)
    train(live, optimizer_of(live, optimizer, **RATES[optimizer]), range(protocol.length))
    scores = scores_of(live, task, "test")
    assert scores["loss"] < math.log(CLASSES)
    assert scores["accuracy"] > 1.5 * 100 / CLASSES
