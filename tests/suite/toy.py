"""A task from outside in one file, quick enough to be killed at every update; tests copy it beside their sweeps."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from optathlon.suite.working.signals import STOPPED_BY
from optathlon.tasks import Metric, Protocol, Select, Task
from optathlon.tasks.data.loading import split
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.schedule import Cosine
from optathlon.tasks.workload import Batch, Workload

HOLD = "TOY_HOLD"
"""Names a file: while it is there, no epoch but the first gets on, however long tests take for what they have to do. A
run that is told to stop does so, and saves."""

HELD_SECONDS = 30.0
"""The longest that one loss is held: a signal that comes after the loop's last look at its flag and before `hold` is
heard by then."""

STRIKE = "TOY_STRIKE"
"""Names a file that says WHOM RANK EPOCH NUMBER: once, in a step of that epoch, the process of that rank sends the
signal of that number to `itself` or to its `parent`."""

METRICS = (Metric("accuracy", "%", True), Metric("loss", "nats", False))
SELECT = Select(metric="loss", higher_is_better=False)
BASE = Protocol(
    length=3,
    batch=16,
    micro_batch=8,
    schedule=Cosine(per="update"),
    clip_norm=1.0,
    watch=("validation",),
    select=SELECT,
    checkpoint="best",
    holdout="published",
    settings={"width": 8, "samples": 120, "plain": False, "explode_at": -1, "crash": False},
)
VARIANTS = {
    "epochs": {},
    "steps": {"unit": "steps", "length": 17, "evaluate_every": 5},
    "ema": {"ema": 0.9, "checkpoint": "last"},
    "restore": {"restore_best_at": [2], "length": 4},
    "bf16": {"precision": "bf16"},
}


class Toy(Workload):
    """Noisy points of two classes; batch norm, dropout, a memory, per-sample augmentation: all that resuming can
    break."""

    def __init__(self, protocol, data, **how):
        super().__init__(protocol, data, **how)
        width = protocol.settings["width"]
        norm, drop = (nn.Identity(), 0.0) if protocol.settings["plain"] else (nn.BatchNorm1d(width), 0.3)
        net = nn.Sequential(nn.Linear(4, width), norm, nn.ReLU(), nn.Dropout(drop), nn.Linear(width, 2))
        self.players = {"model": net.to(self.device)}
        self.memory, self.at = torch.zeros(width), (-1, -1)
        self.before = self.memory

    def points(self, split_name, count):
        rng = generator("toy", split_name)
        labels = rng.integers(0, 2, count)
        return (rng.normal(size=(count, 4)) + 1.5 * labels[:, None]).astype(np.float32), labels

    def batches(self, epoch, start=0):
        images, labels = self.points("train", self.protocol.settings["samples"])
        parts = split(
            shuffled(len(labels), self.seed, epoch), self.protocol.micro_batch_size, self.protocol.micro_batches
        )

        def fetch(chosen):
            noise = [generator(self.seed, "noise", epoch, int(i)).normal(size=4) for i in chosen]
            return torch.from_numpy((images[chosen] + 0.1 * np.array(noise)).astype(np.float32)), labels[chosen]

        for index, (points, wanted) in self.load_share(fetch, parts, start):
            yield Batch((points, torch.from_numpy(wanted), epoch), index, len(parts), len(wanted))

    def loss(self, batch: Batch, player: str) -> Tensor:
        points, labels, epoch = batch.data
        settings = self.protocol.settings
        strike(self.rank, epoch)
        if epoch > 0 and os.path.exists(file := os.environ.get(HOLD, "")):
            hold(file)
        if settings["crash"]:
            raise ZeroDivisionError("the toy was told to crash")
        if self.at != (epoch, batch.index):
            self.before, self.at = self.memory, (epoch, batch.index)
        net = self.players[player]
        hidden = net[:2](points)
        if not settings["plain"]:
            self.memory = 0.9 * self.before + 0.1 * hidden.detach().float().mean(0)
        loss = functional.cross_entropy(net[2:](hidden + self.before), labels)
        return loss * float("nan") if epoch * batch.of + batch.index == settings["explode_at"] else loss

    def evaluate(self, split):
        net = self.players["model"]
        training = net.training
        net.eval()
        points, labels = self.points(split, 64)
        logits = net(torch.from_numpy(points)).float()
        net.train(training)
        wanted = torch.from_numpy(labels)
        hits = (logits.argmax(1) == wanted).float().mean()
        return {"accuracy": 100 * float(hits), "loss": float(functional.cross_entropy(logits, wanted))}

    def state_dict(self):
        return {"memory": self.memory, "before": self.before, "at": list(self.at)}

    def load_state_dict(self, state):
        self.memory, self.before, self.at = state["memory"], state["before"], tuple(state["at"])


def strike(rank: int, epoch: int) -> None:
    """Does what the file of STRIKE says, if it is this process's turn. The file is gone once the signal has come to the
    parent, or just before this process gets it."""
    file = os.environ.get(STRIKE, "")
    if not os.path.exists(file):
        return
    with open(file) as order:
        whom, of_rank, in_epoch, number = order.read().split()
    if (rank, epoch) != (int(of_rank), int(in_epoch)):
        return
    if whom == "itself":
        os.unlink(file)
        os.kill(os.getpid(), int(number))
        return
    # The parent asks this process to stop, or dies, of which the kernel tells it by the same signal.
    with interrupted() as told:
        os.kill(os.getppid(), int(number))
        while not told:
            time.sleep(0.01)
    os.unlink(file)


def hold(file: str) -> None:
    """Returns once `file` is gone, or this process was told to stop."""
    until = time.monotonic() + HELD_SECONDS
    with interrupted() as told:
        while os.path.exists(file) and not told and time.monotonic() < until:
            time.sleep(0.02)


@contextlib.contextmanager
def interrupted() -> Iterator[list[int]]:
    """Yields a list in which each signal that comes is noted, besides what is done about it."""
    told: list[int] = []

    def noted(listener):
        return lambda number, frame: (told.append(number), listener(number, frame))

    listeners = {number: signal.getsignal(number) for number in STOPPED_BY}
    listening = {number: listener for number, listener in listeners.items() if callable(listener)}
    for number, listener in listening.items():
        signal.signal(number, noted(listener))
    try:
        yield told
    finally:
        for number, listener in listening.items():
            signal.signal(number, listener)


def _task(name: str, protocol: Protocol) -> Task:
    return Task(
        name=name,
        benchmark="toy",
        family="toy",
        summary="two noisy classes",
        metrics=METRICS,
        protocols={"paper": protocol, "smoke": protocol},
        workload="toy:Toy",
    )


TASK = _task("toy", BASE)
PLAIN = _task("plain", BASE.override({"holdout": "none", "watch": [], "select": None, "checkpoint": "last"}))
LINEAR = _task("linear", BASE.override({"settings": {"plain": True}}))
