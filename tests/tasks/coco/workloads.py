"""Detectors narrow enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import adamp
import torch

from optathlon import tasks
from optathlon.tasks.coco.detection import Detection
from optathlon.tasks.registry import resolve
from optathlon.tasks.task import Protocol

CENTERNET, SSD = "coco-centernet-random", "coco-ssd-random"
SMALL: dict[str, Any] = {"length": 3, "batch": 8, "settings": {"train_images": 48, "test_images": 12}}
NARROW: dict[str, dict[str, Any]] = {
    CENTERNET: {"channels": [4, 4, 8, 8], "up_channels": [8, 8, 8], "head_channels": 8},
    SSD: {"channels": [2, 4, 4, 8, 8], "fc_channels": 8, "extra_share": 0.03},
}


def small(name: str, **changes: Any) -> Protocol:
    settings = NARROW[name] | changes.pop("settings", {})
    return tasks.task(name).protocol("smoke").override(SMALL).override({**changes, "settings": settings})


def make(data: Path, protocol: Protocol, name: str, **how: Any) -> Detection:
    torch.default_generator.manual_seed(1)
    return resolve(tasks.task(name).workload)(protocol, data, **how)


def train(live: Detection, optimizer: torch.optim.Optimizer, epochs: range, start: int = 0, most: int = 10**6) -> None:
    """The training loop in its shortest form, for `most` updates at most."""
    for epoch in epochs:
        factor = live.protocol.schedule.factor(epoch, live.protocol.length)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        for batch in live.batches(epoch, start):
            if most == 0:
                return
            most -= 1
            optimizer.zero_grad()
            live.loss(batch, "model").backward()
            optimizer.step()
        start = 0


def optimizer_of(live: Detection, kind: str, lr: float) -> torch.optim.Optimizer:
    make_one = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "adamp": adamp.AdamP}[kind]
    groups = [{"params": list(live.players["model"].parameters()), "initial_lr": lr}]
    return make_one(groups, lr=lr, weight_decay=1e-5)
