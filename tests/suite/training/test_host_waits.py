"""On a GPU an update waits for nothing that the device computes, whatever the task; losses are read fifty at a time."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch

from optathlon import tasks
from optathlon.suite.identity import Problem, Run, Setting, optimizer_of, task_of
from optathlon.suite.training.loop import chunks, update
from optathlon.suite.training.state import State
from optathlon.suite.working.execute import build
from optathlon.tasks.verified_workload import micro_batches
from tests.fake_device import DEVICE, Waits
from tests.miniatures import put_miniatures

WAIT_FOR_NOTHING = [
    "biased-mnist-0.990", "ptb-awd-lstm", "speech-commands", "dcase2017", "wikitext103-txl", "cub-proxyanchor",
    "imagenet-resnet50-cutmix", "imagenet-efficientnet-b0", "coco-centernet-random", "cifar10-linf4",
]  # fmt: skip
"""A task for each kind of workload. Not among them, as docs/speed.md says: mined triplets, SSD's priors, and
transformers' look for packed sequences in Llama."""


@pytest.fixture(autouse=True)
def _autocast_for_the_device(monkeypatch):
    """torch has none for it; smoke protocols compute in single precision and switch it off."""
    plain = torch.autocast

    def autocast(device: str, *args: Any, **options: Any) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext() if device == DEVICE.type else plain(device, *args, **options)

    enabled = torch.is_autocast_enabled
    monkeypatch.setattr(torch, "autocast", autocast)
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda device: device != DEVICE.type and enabled(device))


def smoke_run(task: str, data, optimizer="adamw", changed=None) -> Run:
    put_miniatures(data, *tasks.task(task).datasets)
    spec, described = optimizer_of(optimizer), task_of(task)
    protocol = described.protocol("smoke").override(changed or {})
    problem = Problem(task=task, version=1, scale="smoke", data={}, protocol=protocol)
    setting = Setting(optimizer=optimizer, version=1, hyperparameters=spec.resolve({"lr": 1e-3}))
    return Run(problem=problem, setting=setting, seed=0)


def waits_of_second_update(run: Run, data) -> list[str]:
    """What the second update waits for, with the look for its batch. In the first, constants are put on the device."""
    workload = build(run, data, DEVICE, 0)
    state = State(run, workload, implementation="foreach")
    state.sample_at = -1  # norms are read at borders, which may wait
    workload.start_epoch(0, False)
    updates = iter(chunks(micro_batches(workload, 0, 0), run.protocol.micro_batches))

    def carry_out() -> None:
        parts = next(updates)
        with state.timed_update(parts):
            state.advance(parts, {name: update(state, name, parts) for name in workload.players})

    carry_out()
    with Waits() as waits:
        carry_out()
    return waits.seen


@pytest.mark.slow
@pytest.mark.parametrize("task", WAIT_FOR_NOTHING)
def test_an_update_of_each_family_waits_for_nothing(task, tmp_path):
    assert waits_of_second_update(smoke_run(task, tmp_path), tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamp", "sam", "lookahead"])
def test_clipping_averages_and_steps_of_several_losses_wait_for_nothing(optimizer, tmp_path):
    """With two players, of which each has its optimizer."""
    changed = {"clip_norm": 1.0, "clip_value": 0.5, "ema": 0.9, "checkpoint": "last"}
    assert waits_of_second_update(smoke_run("biased-mnist-0.990", tmp_path, optimizer, changed), tmp_path) == []
