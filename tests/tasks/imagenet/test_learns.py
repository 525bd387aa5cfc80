"""Every task learns its miniature with the optimizers of its table, and stopped anywhere goes on exactly.

Here each kind of network and each optimizer is trained once; OPTATHLON_EVERY_PAIR=1 trains every task with every
optimizer of its table, a quarter of an hour on a core.
"""

from __future__ import annotations

import copy
import os

import pytest
import torch

from optathlon.tasks.conformance.digests import digest
from optathlon.tasks.imagenet import TASKS
from optathlon.tasks.imagenet.settings import Network
from optathlon.tasks.registry import resolve
from optathlon.tasks.verified_workload import scores_of
from tests.tasks.imagenet.test_workload import make, optimizer_of, tiny, train

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


EVERY = [(task.name, optimizer) for task in TASKS for optimizer in of_its_table(task.name)]
SAMPLE = [
    ("imagenet-resnet18", "sgd"),
    ("imagenet-resnet50-cutmix", "adam"),
    ("imagenet-mobilenetv2-0.5", "adamw"),
    ("imagenet-shufflenetv2", "sgdp"),
    ("imagenet-efficientnet-b0", "rmsprop_tf"),
    ("imagenet-rexnet-1.0", "adamp"),
    ("imagenet-adarem-resnet18", "adabound"),
    ("imagenet-adarem-resnet18", "rmsprop"),
    ("imagenet-adarem-resnet18", "adarem"),
    ("imagenet-adarem-shufflenetv2-0.5", "adarem_s"),
]
PAIRS = EVERY if os.environ.get("OPTATHLON_EVERY_PAIR") == "1" else SAMPLE


def test_the_sample_has_every_kind_of_network_and_every_optimizer() -> None:
    networks = [str({t.name: t for t in TASKS}[name].protocol("smoke").settings["network"]) for name, _ in SAMPLE]
    assert {kind(network) for network in networks} == {kind(network) for network in Network.__args__}
    assert {optimizer for _, optimizer in SAMPLE} == {optimizer for _, optimizer in EVERY} == set(RATES)
    assert {*SAMPLE} <= {*EVERY}


def kind(network: str) -> str:
    """resnet, mobilenetv2, shufflenetv2, efficientnet, rexnet."""
    return network.removesuffix("18").removesuffix("50").partition("-")[0]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimizer"), PAIRS)
def test_it_learns_its_miniature(miniature, name, optimizer) -> None:
    """Accuracy on photos that it has not seen rises above chance."""
    task = {t.name: t for t in TASKS}[name]
    settings = QUICK | {"mixing": "none", "randaugment": 0.0, "label_smoothing": 0.0}
    protocol = task.protocol("smoke").override(
        {"length": 6, "unit": "epochs", "batch": 16, "micro_batch": 16, "settings": settings}
    )
    torch.default_generator.manual_seed(0)
    live = resolve(task.workload)(protocol, miniature)
    train(live, optimizer_of(live, optimizer, **RATES[optimizer]), range(protocol.length))
    scores = scores_of(live, task, "test")
    assert scores["accuracy"] > 1.5 * 100 / CLASSES


@pytest.mark.slow
@pytest.mark.parametrize(("name", "optimizer"), PAIRS)
def test_a_resume_anywhere_is_exact(miniature, name, optimizer) -> None:
    """With everything random that its recipe has, in updates of two micro-batches, stopped within the second epoch."""
    recipe = {t.name: t for t in TASKS}[name].protocol("paper").settings
    random = ("mixing", "mixing_alpha", "dropout", "drop_path", "randaugment", "erasing", "jitter", "lighting")
    protocol = tiny(name, micro_batch=8, settings={key: recipe[key] for key in random} | {"mixing_epochs": 0})
    whole = make(miniature, protocol, name)
    train(whole, optimizer_of(whole, optimizer, **RATES[optimizer]), range(2))
    updates, stop = len(whole._train) // protocol.batch, 5
    begun = make(miniature, protocol, name)
    stepping = optimizer_of(begun, optimizer, **RATES[optimizer])
    train(begun, stepping, range(2), most=stop)
    saved = copy.deepcopy((begun.players["model"].state_dict(), stepping.state_dict(), begun.state_dict()))
    resumed = make(miniature, protocol, name, data_workers=2)
    stepping = optimizer_of(resumed, optimizer, **RATES[optimizer])  # before the weights, which AdaRem-S scales
    resumed.players["model"].load_state_dict(saved[0])
    stepping.load_state_dict(saved[1])
    resumed.load_state_dict(saved[2])
    train(resumed, stepping, range(stop // updates, 2), start=stop % updates * protocol.micro_batches)
    assert digest(resumed.players["model"].state_dict()) == digest(whole.players["model"].state_dict())
