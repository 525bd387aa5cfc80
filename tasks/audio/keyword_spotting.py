"""Keyword spotting with a Harmonic CNN, as AdamP trains it (Heo et al., ICLR 2021, section 4.4 and appendix E.5)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from optathlon.tasks.audio.clips import Clips, choose
from optathlon.tasks.audio.harmonic_cnn import KEYWORDS, HarmonicCNN, check_length
from optathlon.tasks.audio.speech_commands.dataset import SpeechCommands
from optathlon.tasks.audio.speech_commands.layout import WORDS, index, tree_of
from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.loading import load, share, split
from optathlon.tasks.errors import TaskError, did_you_mean
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

LEAST = {"channels": 1, "words": 2, "training_clips": 0, "evaluation_clips": 0, "evaluation_batch": 1, "n_fft": 2}


class KeywordSpotting(Workload):
    """A Harmonic CNN that tells which of the words is spoken; metrics `accuracy` in percent and `loss` in nats.

    In training each recording lies at a random place among its zeros, in evaluation in the middle. Every rank evaluates
    the whole split. TaskError for settings that cannot run, DataError for data that is missing or broken.
    """

    def __init__(self, protocol: Protocol, data: Path, **how: Any) -> None:
        super().__init__(protocol, data, **how)
        chosen = self._settings = _checked(protocol)
        if protocol.part < 2:
            raise TaskError("protocol.micro_batch: 1 is too small, batch normalization needs 2 recordings or more")
        dataset = SpeechCommands()
        require(dataset, self.data)
        self._tree = tree_of(self.data / dataset.name)
        self._index = index(self._tree)
        self._splits: dict[str, Clips] = {}
        if len(self._clips("training")) < protocol.batch:
            raise TaskError(
                f"protocol.batch: {protocol.batch} is more than the {len(self._clips('training'))} training clips; take"
                " a smaller batch, or more words or training_clips in protocol.settings"
            )
        shape = {name: chosen[name] for name in ("channels", "n_fft", "dropout")}
        net = HarmonicCNN(chosen["words"], KEYWORDS, **shape)
        self.players = {"model": net.to(self.device)}

    def _clips(self, split: str) -> Clips:
        if split not in self._index:
            raise TaskError(f"split: unknown {split!r}{did_you_mean(split, self._index)}")
        if split not in self._splits:
            most = self._settings["training_clips" if split == "training" else "evaluation_clips"]
            clips = choose(self._index[split], self._settings["words"], most)
            self._splits[split] = Clips(self._tree, clips, self._settings["input_length"])
        return self._splits[split]

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which weights are followed by a batch norm, and which are the classifier's."""
        tags = super().tags(player)
        for path, module in self.players[player].named_modules():
            if isinstance(module, nn.Conv2d) or path == "hidden":
                tags[f"{path}.weight"].add("scale_invariant")
        for leaf in ("weight", "bias"):
            tags[f"output.{leaf}"].add("head")
        return tags

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        clips = self._clips("training")
        order = shuffled(len(clips), self.seed, epoch)
        before = generator(self.seed, "padding", epoch).random(len(clips))
        parts = split(order, self.protocol.part, self.protocol.parts, drop_last=True)
        mine = share(len(parts), start, self.rank, self.world)
        jobs = [(parts[i], before[parts[i]]) for i in mine]
        for number, data in zip(mine, load(clips.padded, jobs, self.data_workers), strict=True):
            yield Batch(data=data, index=number, of=len(parts), size=self.protocol.part)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean cross-entropy."""
        waves, words = batch.data
        return cross_entropy(self._logits(waves), words.to(self.device))

    def _logits(self, waves: Tensor) -> Tensor:
        return self.players["model"](waves.to(self.device).float() / 32768)

    @torch.no_grad()
    def evaluate(self, split: str) -> dict[str, float]:
        clips, net = self._clips(split), self.players["model"]
        size = self._settings["evaluation_batch"]
        parts = [np.arange(i, min(i + size, len(clips))) for i in range(0, len(clips), size)]
        jobs = [(part, np.full(len(part), 0.5)) for part in parts]
        totals = torch.zeros(2, dtype=torch.float64, device=self.device)
        training = net.training
        net.eval()
        try:
            for waves, words in load(clips.padded, jobs, self.data_workers):
                logits, words = self._logits(waves).float(), words.to(self.device)
                right = (logits.argmax(dim=1) == words).sum()
                totals += torch.stack([right, cross_entropy(logits, words, reduction="sum")])
        finally:
            net.train(training)
        right, loss = (totals / len(clips)).tolist()
        return {"accuracy": 100 * right, "loss": loss}


def _checked(protocol: Protocol) -> dict[str, Any]:
    settings: dict[str, Any] = dict(protocol.settings)
    for name, least in LEAST.items():
        if settings[name] < least:
            raise TaskError(f"protocol.settings.{name}: {settings[name]} must be at least {least}")
    if not 0 <= settings["dropout"] < 1:
        raise TaskError(f"protocol.settings.dropout: {settings['dropout']} must be at least 0 and below 1")
    if settings["words"] > len(WORDS):
        raise TaskError(f"protocol.settings.words: {settings['words']} must be at most {len(WORDS)}")
    check_length(settings["input_length"], settings["n_fft"], KEYWORDS)
    return settings
