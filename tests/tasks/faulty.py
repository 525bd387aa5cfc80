"""A small sound task of a user, and one for each mistake that she may make; tests copy it into a folder of hers."""

from __future__ import annotations

import copy
import math

import msgspec
import numpy as np
import torch
from torch import nn
from torch.nn import functional

from optathlon import Batch, Metric, Protocol, Select, Task, TaskError, Workload, loading, randomness


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
        micro_batches = loading.split(order, self.protocol.micro_batch_size, self.protocol.micro_batches)
        for index in loading.share(len(micro_batches), start, self.rank, self.world):
            chosen = micro_batches[index]
            yield Batch((points[chosen], labels[chosen]), index, len(micro_batches), len(chosen))

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


class NoStart(Sound):
    def batches(self, epoch):
        yield from super().batches(epoch, 0)


class NoResuming(Sound):
    def start_epoch(self, epoch):
        pass


class EveryEpochDoubles(Sound):
    """Does again, when it goes on within an epoch, what was done at its start."""

    factor = 1.0

    def start_epoch(self, epoch, resuming):
        self.factor *= 2

    def loss(self, batch, player):
        return super().loss(batch, player) * self.factor

    def state_dict(self):
        return {"factor": self.factor}

    def load_state_dict(self, state):
        self.factor = state["factor"]


class CountsOn(Sound):
    def batches(self, epoch, start=0):
        for b in super().batches(epoch, start):
            yield Batch(b.data, b.index + epoch * b.of, b.of, b.size)


class FewerLater(Sound):
    def batches(self, epoch, start=0):
        yield from (batch for batch in super().batches(epoch, start) if epoch == 0 or batch.index < 6)


class OneGenerator(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.generator = super().batches(0)

    def batches(self, epoch, start=0):
        return self.generator


class FloatIndex(Sound):
    def batches(self, epoch, start=0):
        for batch in super().batches(epoch, start):
            yield Batch(batch.data, float(batch.index), batch.of, batch.size)


class NoSize(Sound):
    def batches(self, epoch, start=0):
        for batch in super().batches(epoch, start):
            yield Batch(batch.data, batch.index, batch.of, 0)


class NoScale(Sound):
    def batches(self, epoch, start=0):
        for batch in super().batches(epoch, start):
            yield Batch(batch.data, batch.index, batch.of, batch.size, None)


class SmallLast(Sound):
    def batches(self, epoch, start=0):
        for batch in super().batches(epoch, start):
            size = batch.size if batch.index < batch.of - 1 else 3
            yield Batch(tuple(tensor[:size] for tensor in batch.data), batch.index, batch.of, size)


class HalfMicroBatches(Sound):
    def batches(self, epoch, start=0):
        for batch in super().batches(epoch, start):
            yield Batch(tuple(tensor[:4] for tensor in batch.data), batch.index, batch.of, 4)


class NormalizesInPlace(Sound):
    def loss(self, batch, player):
        points = batch.data[0]
        points.sub_(points.mean(0))
        return super().loss(batch, player)


class CallsBackward(Sound):
    def loss(self, batch, player):
        loss = super().loss(batch, player)
        loss.backward()
        return loss


class LossInEvalMode(Sound):
    def loss(self, batch, player):
        self.players[player].eval()
        return super().loss(batch, player)


class LossDecays(Sound):
    def loss(self, batch, player):
        with torch.no_grad():
            self.players[player][0].weight.mul_(0.9)
        return super().loss(batch, player)


class OtherDevice(Sound):
    def loss(self, batch, player):
        return super().loss(batch, player).to("meta")


class ReplacesNet(Sound):
    def evaluate(self, split):
        scores = super().evaluate(split)
        self.players = {"model": copy.deepcopy(self.players["model"])}
        return scores


class Freezes(Sound):
    def evaluate(self, split):
        self.players["model"][0].requires_grad_(False)
        return super().evaluate(split)


class RemembersValidation(Sound):
    bonus = 0.0

    def evaluate(self, split):
        self.bonus += split == "validation"
        return {"accuracy": super().evaluate(split)["accuracy"] + min(self.bonus, 1)}


class NanScore(Sound):
    def evaluate(self, split):
        return {"accuracy": super().evaluate(split)["accuracy"] * math.nan}


class ScoresOfItsShare(Sound):
    def points(self, split, count):
        points, labels = super().points(split, count)
        return (
            (points, labels) if split == "train" else (points[self.rank :: self.world], labels[self.rank :: self.world])
        )


class LossTakesThreads(Sound):
    def loss(self, batch, player):
        torch.set_num_threads(torch.get_num_threads() + 1)
        return super().loss(batch, player)


class EvaluatesInDoubles(Sound):
    def evaluate(self, split):
        torch.set_default_dtype(torch.float64)
        return super().evaluate(split)


class NumpyScore(Sound):
    def evaluate(self, split):
        return {"accuracy": np.float32(super().evaluate(split)["accuracy"])}


class NumpyWeights(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.players["model"][0].weight.data.add_(float(np.random.randn()))


class LazyNet(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.players = {"model": nn.LazyLinear(2)}


class NumberedPlayer(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.players = {0: self.players["model"]}


class SharedPlayers(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        self.players = {"model": self.players["model"], "other": self.players["model"]}


class TwoThreads(Sound):
    def __init__(self, protocol, data, **process):
        super().__init__(protocol, data, **process)
        torch.set_num_threads(torch.get_num_threads() + 1)


class NoState(Sound):
    def state_dict(self):
        return None


class StateOfFunctions(Sound):
    def state_dict(self):
        return {"act": len}


class TextTags(Sound):
    def tags(self, player):
        return dict.fromkeys(super().tags(player), "bias")


class FewTags(Sound):
    def tags(self, player):
        return {"0.weight": set()}


class UnknownTags(Sound):
    def tags(self, player):
        return {name: {"wide"} for name in super().tags(player)}


class SaysMuch(Sound):
    def evaluate(self, split):
        raise RuntimeError("first line\n\n   second line " + 3000 * "x")


PROTOCOL = Protocol(
    length=2,
    batch=16,
    micro_batch=8,
    watch=("validation",),
    select=Select(metric="accuracy", higher_is_better=True),
    holdout="published",
)


def raises(*_):
    raise KeyError("width")


def refuses(*_, **process):
    raise TaskError("protocol.settings.width: 0 is too narrow")


def says_false(protocol):
    return False


def chance(protocol, data):
    return {"chance": 50.0}


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
NO_MODULE = described("Sound", workload="fautly:Sound")
NO_SCALE = described("Sound", protocols={"full": PROTOCOL})
ONE_DATASET = described("Sound", datasets="mnist")
NO_DATA = described("Sound", datasets=("mnist",))
NO_DATASET = described("Sound", datasets=("mnits",))
HALF_VERSION = described("Sound", version=1.5)
SLASH = described("Sound", metrics=(Metric("test/accuracy", "%", True),))
CLASS_AS_DATASET = described("Sound", datasets=(Sound,))
BAD_LENGTH = described("Sound", protocols={"smoke": msgspec.structs.replace(PROTOCOL, clip_norm=-1.0)})
SCHEDULE_WORD = described("Sound", protocols={"smoke": msgspec.structs.replace(PROTOCOL, schedule="cosine")})
OBJECT_SETTING = described("Sound", protocols={"smoke": msgspec.structs.replace(PROTOCOL, settings={"act": len})})
CHECK_RAISES = described("Sound", check="faulty:raises")
READS_BAD_SETTINGS = described("refuses", check="faulty:refuses")
CHECK_IS_FALSE = described("Sound", check="faulty:says_false")
NOT_READY = described("Sound", ready="faulty:raises")
NO_REFERENCES = described("Sound", references="faulty:nowhere")
BAD_REFERENCES = described("Sound", references="faulty:chance")
OTHER_SELECT = described(
    "Sound", protocols={"smoke": PROTOCOL.override({"select": {"metric": "loss", "higher_is_better": False}})}
)
OTHER_WAY = described(
    "Sound", protocols={"smoke": PROTOCOL.override({"select": {"metric": "accuracy", "higher_is_better": False}})}
)
NUMBER = 3
