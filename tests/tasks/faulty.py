"""A small sound task of a user, and one for each mistake that she may make; tests copy it into a folder of hers."""

from __future__ import annotations

import math

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from optathlon import Batch, Metric, Protocol, Select, Task, Workload, loading, randomness


class Sound(Workload):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.ReLU(), nn.Linear(8, 2))
        self.players = {"model": net.to(self.device)}

    def points(self, split, count):
        rng = randomness.generator("points", split)
        labels = rng.integers(0, 2, count)
        points = (rng.normal(size=(count, 4)) + 2 * labels[:, None]).astype(np.float32)
        return torch.from_numpy(points), torch.from_numpy(labels)

    def batches(self, epoch, start=0):
        points, labels = self.points("train", 64)
        order = randomness.shuffled(len(labels), self.seed, epoch)
        parts = loading.split(order, self.protocol.part, self.protocol.parts)
        for index in loading.share(len(parts), start, self.rank, self.world):
            chosen = parts[index]
            yield Batch((points[chosen], labels[chosen]), index, len(parts), len(chosen))

    def loss(self, batch, player):
        points, labels = batch.data
        return functional.cross_entropy(self.players[player](points), labels)

    def evaluate(self, split):
        if split not in ("validation", "test"):
            raise ValueError(split)
        net = self.players["model"]
        points, labels = self.points(split, 32)
        net.eval()
        logits = net(points)
        net.train()
        return {"accuracy": 100 * float((logits.argmax(1) == labels).float().mean())}


class OtherName(Sound):
    def evaluate(self, split):
        return {"acc": super().evaluate(split)["accuracy"]}


class NoScores(Sound):
    def evaluate(self, split):
        super().evaluate(split)


class TensorScore(Sound):
    def evaluate(self, split):
        return {"accuracy": torch.tensor(super().evaluate(split)["accuracy"])}


class VectorLoss(Sound):
    def loss(self, batch, player):
        points, labels = batch.data
        return functional.cross_entropy(self.players[player](points), labels, reduction="none")


class FloatLoss(Sound):
    def loss(self, batch, player):
        return super().loss(batch, player).item()


class DetachedLoss(Sound):
    def loss(self, batch, player):
        return super().loss(batch, player).detach()


class NanLoss(Sound):
    def loss(self, batch, player):
        return super().loss(batch, player) * math.nan


class LeavesEvalMode(Sound):
    def evaluate(self, split):
        scores = super().evaluate(split)
        self.players["model"].eval()
        return scores


class MovesBuffer(Sound):
    def evaluate(self, split):
        self.players["model"](self.points(split, 32)[0])
        return super().evaluate(split)


class RandomScores(Sound):
    calls = 0

    def evaluate(self, split):
        RandomScores.calls += 1
        return {"accuracy": super().evaluate(split)["accuracy"] + RandomScores.calls}


class UnrepeatableLoss(Sound):
    calls = 0

    def loss(self, batch, player):
        UnrepeatableLoss.calls += 1
        return super().loss(batch, player) * (1 + 0.01 * UnrepeatableLoss.calls)


class NoTestSplit(Sound):
    def evaluate(self, split):
        return {"validation": super().evaluate}[split](split)


class NoPlayers(Sound):
    def __init__(self, protocol, data, **process):
        Workload.__init__(self, protocol, data, **process)
        self.net = nn.Linear(4, 2)


class PlayersOneNet(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.players = self.players["model"]


class NoProcess(Sound):
    def __init__(self, protocol, data):
        super().__init__(protocol, data)


class NoSuper(Sound):
    def __init__(self, protocol, data, **process):
        self.players = {"model": nn.Linear(4, 2)}


class Raises(Sound):
    def __init__(self, protocol, data, **process):
        raise ArithmeticError("no such width")


class NoFile(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        np.load(self.data / "points.npy")


class BatchesRaise(Sound):
    def batches(self, epoch, start=0):
        raise ArithmeticError("no such epoch")


class BatchesNone(Sound):
    def batches(self, epoch, start=0):
        self.points("train", 64)


class BatchesEmpty(Sound):
    def batches(self, epoch, start=0):
        yield from ()


class BatchesOfPairs(Sound):
    def batches(self, epoch, start=0):
        yield from (batch.data for batch in super().batches(epoch, start))


class IgnoresStart(Sound):
    def batches(self, epoch, start=0):
        yield from super().batches(epoch, 0)


class SameEveryEpoch(Sound):
    def batches(self, epoch, start=0):
        yield from super().batches(0, start)


class GlobalNoise(Sound):
    def batches(self, epoch, start=0):
        for b in super().batches(epoch, start):
            yield Batch((b.data[0] + torch.from_numpy(np.random.randn(4)).float(), b.data[1]), b.index, b.of, b.size)


class IgnoresRank(Sound):
    def batches(self, epoch, start=0):
        self.rank, self.world = 0, 1
        yield from super().batches(epoch, start)


class Forgets(Sound):
    """Carries a number from update to update that its state lacks."""

    memory, at = 1.0, -1

    def loss(self, batch, player):
        if self.at != batch.index:
            self.at, self.memory = batch.index, self.memory * 1.1
        return super().loss(batch, player) * self.memory


class UnusedPlayer(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.players = {"model": self.players["model"], "other": nn.Linear(2, 2)}

    def loss(self, batch, player):
        return super().loss(batch, "model")


PROTOCOL = Protocol(
    length=2,
    batch=16,
    micro_batch=8,
    watch=("validation",),
    select=Select(metric="accuracy", higher_is_better=True),
    holdout="published",
)


def described(kind, **changes):
    task = Task(
        name="sound",
        benchmark="points",
        family="mine",
        summary="two noisy classes",
        metrics=(Metric("accuracy", "%", True),),
        protocols={"smoke": PROTOCOL},
        workload=f"faulty:{kind}",
    )
    return msgspec.structs.replace(task, **changes)


for _name, _value in list(globals().items()):
    if isinstance(_value, type) and issubclass(_value, Sound):
        globals()[f"TASK_{_name}"] = described(_name)

ONE_METRIC = described("Sound", metrics=Metric("accuracy", "%", True))
NO_METRICS = described("Sound", metrics=())
CLASS_AS_WORKLOAD = described("Sound", workload=Sound)
PLAIN_PATH = described("Sound", workload="faulty.Sound")
NO_WORKLOAD = described("Nowhere")
NO_SCALE = described("Sound", protocols={"full": PROTOCOL})
ONE_DATASET = described("Sound", datasets="mnist")
NO_DATA = described("Sound", datasets=("mnist",))
NO_DATASET = described("Sound", datasets=("mnits",))
HALF_VERSION = described("Sound", version=1.5)
OTHER_SELECT = described(
    "Sound", protocols={"smoke": PROTOCOL.override({"select": {"metric": "loss", "higher_is_better": False}})}
)
OTHER_WAY = described(
    "Sound", protocols={"smoke": PROTOCOL.override({"select": {"metric": "accuracy", "higher_is_better": False}})}
)
NUMBER = 3
