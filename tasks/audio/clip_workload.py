"""What keyword spotting and tagging have in common: a Harmonic CNN on one window of each clip an epoch."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from torch import Tensor

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.harmonic_cnn import HarmonicCNN, harmonic_cnn_tags
from optathlon.tasks.audio.recordings import Clip
from optathlon.tasks.audio.settings import HarmonicCnnSettings
from optathlon.tasks.audio.windows import Windows
from optathlon.tasks.data.dataset import Dataset, require
from optathlon.tasks.data.loading import split
from optathlon.tasks.data.places import folder_of
from optathlon.tasks.randomness import generator, shuffled
from optathlon.tasks.settings import require_batch
from optathlon.tasks.task import Protocol
from optathlon.tasks.workload import Batch, Workload

SettingsOfTask = TypeVar("SettingsOfTask", bound=HarmonicCnnSettings)


class ClipWorkload(Workload, Generic[SettingsOfTask]):
    """A Harmonic CNN on the clips of a data set. Subclasses choose and label the clips, and have a loss and an
    evaluation, in which every rank goes through the whole split.

    TaskError for settings that do not fit the data, DataError for data that is missing, broken or not the published.
    """

    dataset: ClassVar[type[Dataset]]
    require_published: ClassVar[Callable[[Protocol, Path], None]]
    """Raises DataError for splits that are not the published ones."""
    settings_type: type[SettingsOfTask]
    random_places: ClassVar[str]
    """The name of the random numbers by which training windows lie in their clips."""

    def __init__(self, protocol: Protocol, data: Path, **process: Any) -> None:
        super().__init__(protocol, data, **process)
        self.settings = s = self.settings_type.read(protocol)
        require(self.dataset(), self.data)
        type(self).require_published(protocol, self.data)
        folder = folder_of(self.data, self.dataset.name)
        recorded, samples = recordings.read(folder), recordings.samples(folder)
        outputs = self._outputs(len(recorded.tags))
        self._splits: dict[str, Windows] = {}
        for name, clips in recorded.splits.items():
            chosen, labels = self._labelled(name, clips, outputs)
            self._splits[name] = Windows(samples, chosen, labels, s.input_length)
        require_batch(len(self._splits["training"]), "clips", protocol, s.more_clips)
        net = HarmonicCNN(outputs, s.pools, channels=s.channels, n_fft=s.n_fft, dropout=s.dropout)
        self.players = {"model": net.to(self.device)}

    @abstractmethod
    def _outputs(self, tags: int) -> int:
        """How many logits the network has, of data with so many `tags`."""

    @abstractmethod
    def _labelled(self, split: str, clips: Sequence[Clip], outputs: int) -> tuple[list[Clip], np.ndarray]:
        """Those of the `clips` of `split` that the settings leave, and what is to be learned of each."""

    def tags(self, player: str) -> dict[str, set[str]]:
        """As Workload.tags, and which weights are followed by a batch norm, and which are the classifier's."""
        return harmonic_cnn_tags(super().tags(player), self.players[player])

    def batches(self, epoch: int, start: int = 0) -> Iterator[Batch]:
        """Windows (n, input_length) at random places of randomly chosen clips, and their labels (n, ...)."""
        windows = self._splits["training"]
        places = generator(self.seed, self.random_places, epoch).random(len(windows))
        order = shuffled(len(windows), self.seed, epoch)
        micro_batches = split(order, self.protocol.micro_batch_size, self.protocol.micro_batches, drop_last=True)
        for index, data in self.load_share(
            windows.at_random, [(chosen, places[chosen]) for chosen in micro_batches], start
        ):
            yield Batch(data=data, index=index, of=len(micro_batches), size=self.protocol.micro_batch_size)

    def _logits(self, waves: Tensor) -> Tensor:
        return self.players["model"](self.on_device(waves))
