"""Keyword spotting with a Harmonic CNN, as AdamP trains it (Heo et al., ICLR 2021, section 4.4 and appendix E.5)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor
from torch.nn.functional import cross_entropy

from optathlon.tasks.audio import published_splits, recordings
from optathlon.tasks.audio.harmonic_cnn import HarmonicCNN, harmonic_cnn_tags
from optathlon.tasks.audio.pooling import KEYWORDS
from optathlon.tasks.audio.recordings import Clip
from optathlon.tasks.audio.settings import KeywordSpottingSettings
from optathlon.tasks.audio.speech_commands.dataset import SpeechCommands
from optathlon.tasks.audio.windows import Windows
from optathlon.tasks.data.dataset import require
from optathlon.tasks.data.loading import load, split
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.errors import DataError, TaskError, did_you_mean
from optathlon.tasks.evaluation import batched, evaluating
from optathlon.tasks.metrics.classification import classification_scores
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload


class KeywordSpotting(Workload):
    """A Harmonic CNN that tells which of the words is spoken; metrics `accuracy` in percent and `loss` in nats.

    In training each recording lies at a random place among its zeros, in evaluation in the middle. Every rank evaluates
    the whole split. TaskError for a batch larger than the data, DataError for data that is missing or broken.
    """

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = KeywordSpottingSettings.read(protocol)
        dataset = SpeechCommands()
        require(dataset, self.data)
        published_splits.speech_commands(protocol, self.data)
        folder = folder_of(self.data, dataset.name)
        samples = recordings.samples(folder)
        self._splits: dict[str, Windows] = {}
        for name, clips in recordings.read(folder).splits.items():
            chosen = recordings.first_of_each_tag(clips, s.words, s.most(name))
            _require_room(chosen, s.input_length)
            words = np.array([clip.tags[0] for clip in chosen], dtype=np.int64)
            self._splits[name] = Windows(samples, chosen, words, s.input_length)
        if len(self._clips("training")) < protocol.batch:
            raise TaskError(
                f"protocol.batch: {protocol.batch} is more than the {len(self._clips('training'))} training clips; take"
                " a smaller batch, or more words or training_clips in protocol.settings"
            )
        net = HarmonicCNN(s.words, KEYWORDS, channels=s.channels, n_fft=s.n_fft, dropout=s.dropout)
        self.players = {"model": net.to(self.device)}

    def _clips(self, split: str) -> Windows:
        if split not in self._splits:
            raise TaskError(f"split: unknown {split!r}{did_you_mean(split, self._splits)}")
        return self._splits[split]

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which weights are followed by a batch norm, and which are the classifier's."""
        return harmonic_cnn_tags(super().tags(player), self.players[player])

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Waves (n, input_length), each at a random place among its zeros, and words (n,)."""
        clips = self._clips("training")
        before = generator(self.seed, "padding", epoch).random(len(clips))
        order = shuffled(len(clips), self.seed, epoch)
        parts = split(order, self.protocol.part, self.protocol.parts, drop_last=True)
        for index, data in self.load_share(clips.at_random, [(part, before[part]) for part in parts], start):
            yield Batch(data=data, index=index, of=len(parts), size=self.protocol.part)

    def loss(self, batch: Batch, player: str) -> Tensor:
        """The mean cross-entropy."""
        waves, words = batch.data
        return cross_entropy(self._logits(waves), words.to(self.device))

    def _logits(self, waves: Tensor) -> Tensor:
        return self.players["model"](waves.to(self.device))

    def evaluate(self, split: str) -> dict[str, float]:
        """Accuracy in percent and mean cross-entropy in nats, each recording in the middle of its zeros."""
        clips = self._clips(split)
        jobs = [(part, 1) for part in batched(len(clips), self.settings.evaluation_batch)]
        with evaluating(self.players["model"]):
            loaded = load(clips.evenly, jobs, self.data_workers)
            outputs = ((self._logits(waves).float(), words.to(self.device)) for waves, words in loaded)
            scores = classification_scores(outputs, self.device)
        return {"accuracy": scores.accuracies[1], "loss": scores.loss}


def _require_room(clips: Sequence[Clip], length: int) -> None:
    """DataError names a recording that is longer than `length` samples."""
    for clip in clips:
        if clip.length > length:
            raise DataError(
                f"{SpeechCommands.name}: {clip.path} has {clip.length:,} samples; expected at most"
                f" protocol.settings.input_length, which is {length:,}"
            )
