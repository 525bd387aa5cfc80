"""Retrieval small enough for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import adamp
import torch

from optathlon import tasks
from optathlon.tasks.registry import resolve
from optathlon.tasks.retrieval.workload import Retrieval
from optathlon.tasks.task import Protocol

SMALL = {"length": 3, "batch": 40, "settings": {"channels": [4, 8], "embedding": 8, "resize": 20, "crop": 16}}


def small(name: str, **changes: Any) -> Protocol:
    settings = changes.pop("settings", {})
    return tasks.task(name).protocol("smoke").override(SMALL).override({**changes, "settings": settings})


def make(data: Path, protocol: Protocol, name: str = "cub-proxyanchor", **how: Any) -> Retrieval:
    torch.default_generator.manual_seed(1)
    return resolve(tasks.task(name).workload)(protocol, data, **how)


def optimizer_of(live: Retrieval, kind: str, lr: float) -> torch.optim.Optimizer:
    """With the rate of the parameters tagged proxy multiplied as the protocol says."""
    tags, named = live.tags("model"), dict(live.players["model"].named_parameters())
    groups = [
        {"params": [p for n, p in named.items() if ("proxy" in tags[n]) == proxy], "lr": rate, "initial_lr": rate}
        for proxy, rate in ((False, lr), (True, lr * live.protocol.tags["proxy.lr_scale"]))
    ]
    make_one = {"adamw": torch.optim.AdamW, "adamp": adamp.AdamP}[kind]
    return make_one([group for group in groups if group["params"]], lr=lr, weight_decay=0.0)


def train(live: Retrieval, optimizer: torch.optim.Optimizer, epochs: range, start: int = 0, most: int = 10**6) -> None:
    """The training loop in its shortest form, for `most` updates at most."""
    net = live.players["model"]
    for epoch in epochs:
        live.start_epoch(epoch, resuming=start > 0)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * live.protocol.schedule.factor(epoch, live.protocol.length)
        for batch in live.batches(epoch, start):
            if most == 0:
                return
            most -= 1
            optimizer.zero_grad()
            live.loss(batch, "model").backward()
            torch.nn.utils.clip_grad_value_(net.parameters(), live.protocol.clip_value or 0.0)
            optimizer.step()
        start = 0
