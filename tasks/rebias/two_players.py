"""ReBias: a network trained to differ from a second one, which can see nothing but the bias of the data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from optathlon.tasks.data.loading import split
from optathlon.tasks.randomness import shuffled
from optathlon.tasks.rebias.hsic import hsic
from optathlon.tasks.rebias.settings import FEWEST, ReBiasSettings
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload


class TwoPlayers(Workload):
    """Two networks trained in turn on the same batch, each descending its cross-entropy plus or minus their HSIC.

    players: "biased" (g) is rewarded for resembling the other, "model" (f) penalized; g steps first. Both take images
    and give (logits, features). A subclass has the data: `batches` of (images, labels) on the device, `evaluate`, which
    judges f alone, and `sigmas`. Source: ReBias, trainer.py; Heo et al. 2021, section E.4.2.
    """

    sigmas: dict[str, float]
    """The widths of the kernels by which the features are compared, by network."""

    def __init__(
        self,
        protocol: Protocol,
        data: Path,
        settings: ReBiasSettings,
        *,
        biased: nn.Module,
        model: nn.Module,
        **process: Any,
    ) -> None:
        super().__init__(protocol, data, **process)
        self._rebias = settings
        self.sigmas = {}
        self.players = {"biased": biased.to(self.device), "model": model.to(self.device)}

    def micro_batches(self, count: int, epoch: int) -> list[np.ndarray]:
        """The shuffled indices of `count` images in micro-batches; a last one too small for HSIC is left out."""
        micro_batches = split(
            shuffled(count, self.seed, epoch), self.protocol.micro_batch_size, self.protocol.micro_batches
        )
        return micro_batches[:-1] if micro_batches and len(micro_batches[-1]) < FEWEST else micro_batches

    def loss(self, batch: Batch, player: str) -> Tensor:
        """Cross-entropy minus (for g) or plus (for f) lambda times the HSIC of both networks' features.

        Both networks see the batch in train mode, so each one's batch-norm statistics move in either player's turn.
        """
        images, labels = batch.data
        opponent, weight = "biased", self._rebias.lambda_f
        if player == "biased":
            opponent, weight = "model", -self._rebias.lambda_g
        logits, features = self.players[player](images)
        loss = F.cross_entropy(logits, labels)
        if not weight:
            return loss
        with torch.no_grad():
            _, reference = self.players[opponent](images)
        with torch.autocast(self.device.type, enabled=False):
            return loss + weight * hsic(features.float(), reference.float(), self.sigmas[player], self.sigmas[opponent])
