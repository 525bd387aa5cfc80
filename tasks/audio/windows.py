"""Windows of clips: at random places in training, evenly spaced in evaluation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from optathlon.tasks.audio.recordings import Clip
from optathlon.tasks.data.immutable import Immutable


class Windows(Immutable):
    """Windows of `length` samples out of a split's clips; clips that are shorter lie among zeros.

    samples: the recordings' samples, float32. labels: (clips, ...), what is to be learned of each clip.
    """

    def __init__(self, samples: np.ndarray, clips: Sequence[Clip], labels: np.ndarray, length: int) -> None:
        self.clips, self.labels, self.length, self._samples = clips, labels, length, samples

    def __len__(self) -> int:
        return len(self.clips)

    def at_random(self, job: tuple[np.ndarray, np.ndarray]) -> tuple[Tensor, Tensor]:
        """A window, float32 (n, length), of each clip of the numbers `job[0]`, and their labels (n, ...).

        job[1], in [0, 1): where the window lies in each clip, or a short clip in its window.
        """
        numbers, places = job
        windows = np.zeros((len(numbers), self.length), dtype=np.float32)
        for window, number, place in zip(windows, numbers, places, strict=True):
            clip = self.clips[number]
            if clip.length < self.length:
                self._pad(window, clip, place)
            else:
                window[:] = self._cut(clip, int(place * (clip.length - self.length)))
        return torch.from_numpy(windows), torch.from_numpy(self.labels[numbers])

    def evenly(self, job: tuple[np.ndarray, int]) -> tuple[Tensor, Tensor]:
        """As `at_random`, but job[1] windows of each clip, (n x job[1], length), clip after clip.

        Window i begins at i times a hop, which is (clip - length) // job[1], so that the last hop is in none; a short
        clip lies in the middle of each window.
        """
        numbers, count = job
        windows = np.zeros((len(numbers), count, self.length), dtype=np.float32)
        for of_clip, number in zip(windows, numbers, strict=True):
            clip = self.clips[number]
            if clip.length < self.length:
                self._pad(of_clip, clip, 0.5)
                continue
            hop = (clip.length - self.length) // count
            for index, window in enumerate(of_clip):
                window[:] = self._cut(clip, index * hop)
        return torch.from_numpy(windows).flatten(0, 1), torch.from_numpy(self.labels[numbers])

    def _cut(self, clip: Clip, begin: int) -> np.ndarray:
        return self._samples[clip.start + begin : clip.start + begin + self.length]

    def _pad(self, windows: np.ndarray, clip: Clip, place: float) -> None:
        before = int(place * (self.length - clip.length))
        windows[..., before : before + clip.length] = self._samples[clip.start : clip.start + clip.length]
