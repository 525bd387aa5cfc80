"""Recordings of one split as padded tensors, decoded once into memory where they fit, else each time."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.audio.speech_commands.layout import Clip, read_clip

IN_MEMORY = 4 << 30  # bytes; the official training split takes 2.7 GB


def choose(clips: Sequence[Clip], words: int, per_word: int) -> list[Clip]:
    """The clips of the first `words` words, at most `per_word` of each (0: all), first by file name."""
    chosen = []
    for word in range(words):
        chosen += islice((clip for clip in clips if clip.word == word), per_word or None)
    return chosen


class Clips:
    """The chosen recordings below `tree`, each zero-padded to `length` samples."""

    def __init__(self, tree: Path, clips: Sequence[Clip], length: int, in_memory: int = IN_MEMORY) -> None:
        self.paths = [tree / clip.path for clip in clips]
        self.words = np.array([clip.word for clip in clips], dtype=np.int64)
        self.length = length
        self._decoded: list[np.ndarray] | None = None
        if sum(path.stat().st_size for path in self.paths) <= in_memory:
            self._decoded = [read_clip(path, length) for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def samples(self, number: int) -> np.ndarray:
        """The int16 samples of one recording; DataError if it is not intact or longer than `length`."""
        return read_clip(self.paths[number], self.length) if self._decoded is None else self._decoded[number]

    def padded(self, job: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
        """The recordings `job[0]` as int16 (clips, length) and their words (clips,). `job[1]`, in [0, 1), is the part
        of the zeros that goes before each recording."""
        numbers, before = job
        padded = np.zeros((len(numbers), self.length), dtype=np.int16)
        for row, number, share in zip(padded, numbers, before, strict=True):
            samples = self.samples(number)
            start = int(share * (self.length - len(samples)))
            row[start : start + len(samples)] = samples
        return torch.from_numpy(padded), torch.from_numpy(self.words[numbers])
