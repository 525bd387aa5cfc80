"""ReBias on Biased-MNIST: a network trained to differ from one that can see nothing but color."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.loading import load, share, split
from optathlon.tasks.errors import TaskError
from optathlon.tasks.randomness import shuffled
from optathlon.tasks.rebias.coloring import Painted, assign_colors, normalize, stratified_order
from optathlon.tasks.rebias.hsic import FEWEST, hsic
from optathlon.tasks.rebias.mnist.dataset import Mnist, read
from optathlon.tasks.rebias.mnist.miniature import SIDE
from optathlon.tasks.rebias.networks import SimpleConvNet
from optathlon.tasks.rebias.settings import settings_of
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

COLORINGS = {"unbiased": 0.1, "biased": 1.0, "rho0": 0.0}  # of evaluated images, by the metric's name
HELD_BACK = 10  # one in so many training images is the carved validation split
AT_ONCE = 1000


class BiasedMnist(Workload):
    """Two networks trained in turn on the same batch, each descending its cross-entropy plus or minus their HSIC.

    players: "biased" (g, 1x1 kernels) is rewarded for resembling the other, "model" (f) penalized; g steps first.
    Source: ReBias, trainer.py; Heo et al. 2021, section E.4.2.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings: dict[str, Any] = msgspec.to_builtins(settings_of(protocol))
        if protocol.holdout == "published":
            raise TaskError("protocol.holdout: MNIST has no published validation split, expected carved or none")
        if protocol.part < FEWEST:
            raise TaskError(f"protocol.micro_batch: {protocol.part} is too small, HSIC needs at least {FEWEST} samples")
        channels = self.settings["channels"]
        self.networks = {
            "biased": SimpleConvNet(channels, self.settings["kernel_g"]).to(self.device),
            "model": SimpleConvNet(channels, self.settings["kernel_f"]).to(self.device),
        }
        self.players = self.networks
        require(Mnist(), self.data)
        images, labels = self._digits("train", self.settings["train_images"])
        held = len(labels) // HELD_BACK if protocol.holdout == "carved" else 0
        self.train = Painted(images[held:], labels[held:], assign_colors(labels[held:], self.settings["rho"], "train"))
        if len(self.train) < FEWEST:
            raise TaskError(f"mnist: {len(self.train)} training images are too few, expected {FEWEST} or more")
        self.evaluated = {"test": self._digits("test", self.settings["test_images"])}
        if held:
            self.evaluated["validation"] = images[:held], labels[:held]

    def _digits(self, name: str, most: int) -> tuple[np.ndarray, np.ndarray]:
        """At most `most` images of a split in a fixed stratified order, a block of pixels reduced to its maximum."""
        images, labels = read(self.data / "mnist", name)
        chosen = stratified_order(labels, name)[:most]
        block = self.settings["block"]
        kept = SIDE // block
        cut = images[chosen, : kept * block, : kept * block]
        return cut.reshape(-1, kept, block, kept, block).max((2, 4)), labels[chosen]

    def tags(self, player: str) -> dict[str, set[str]]:
        tags = super().tags(player)
        for place, (layer, follower) in enumerate(pairwise(self.networks[player].extractor)):
            if isinstance(layer, nn.Conv2d) and isinstance(follower, nn.BatchNorm2d):
                tags[f"extractor.{place}.weight"].add("scale_invariant")
        for name in ("fc.weight", "fc.bias"):
            tags[name].add("head")
        return tags

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Images (n, 3, side, side) in [-1, 1] and labels (n,); a last batch too small for HSIC is left out."""
        pieces = split(shuffled(len(self.train), self.seed, epoch), self.protocol.part, self.protocol.parts)
        if pieces and len(pieces[-1]) < FEWEST:
            pieces.pop()
        mine = share(len(pieces), start, self.rank, self.world)
        loaded = load(self.train.take, [pieces[index] for index in mine], self.data_workers)
        for index, taken in zip(mine, loaded, strict=True):
            yield Batch(self._ready(taken), index, len(pieces), len(pieces[index]))

    def _ready(self, taken: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        painted, labels = taken
        return normalize(painted.to(self.device)), labels.to(self.device)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Cross-entropy minus (for g) or plus (for f) lambda times the HSIC of both networks' features.

        Both networks see the batch in train mode, so each one's batch-norm statistics move in either player's turn.
        """
        images, labels = batch.data
        mine, other, weight = self.networks["model"], self.networks["biased"], self.settings["lambda_f"]
        if player == "biased":
            mine, other, weight = other, mine, -self.settings["lambda_g"]
        logits, features = mine(images)
        loss = F.cross_entropy(logits, labels)
        if not weight:
            return loss
        with torch.no_grad():
            _, reference = other(images)
        with torch.autocast(self.device.type, enabled=False):
            return loss + weight * hsic(features.float(), reference.float(), self.settings["sigma"])

    @torch.no_grad()
    def evaluate(self, split: str) -> dict[str, float]:
        """f's accuracy in % with each of COLORINGS, and its cross-entropy in nats where colors say nothing."""
        if split not in self.evaluated:
            raise TaskError(f"split: this run has no {split!r}, only {', '.join(self.evaluated)}")
        images, labels = self.evaluated[split]
        net = self.networks["model"]
        training = net.training
        net.eval()
        try:
            measured = {
                name: self._measure(net, Painted(images, labels, assign_colors(labels, rho, split)))
                for name, rho in COLORINGS.items()
            }
        finally:
            net.train(training)
        return {name: accuracy for name, (accuracy, _) in measured.items()} | {"loss": measured["unbiased"][1]}

    def _measure(self, net: nn.Module, painted: Painted) -> tuple[float, float]:
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        for begin in range(0, len(painted), AT_ONCE):
            images, labels = self._ready(painted.take(slice(begin, begin + AT_ONCE)))
            logits, _ = net(images)
            right = (logits.argmax(1) == labels).sum()
            totals += torch.stack([right, F.cross_entropy(logits, labels, reduction="sum")])
        right, loss = (totals / len(painted)).tolist()
        return 100.0 * right, loss
