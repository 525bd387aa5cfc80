"""Harmonic CNN: a waveform's harmonics as channels of a picture, and a small residual network over them.

Won, Chun, Nieto and Serra, "Data-driven harmonic filters for audio representation learning", ICASSP 2020, as in the
authors' repository minzwon/data-driven-harmonic-filters @9fe622f. One network for three benchmarks: they differ in the
pooling of the last two stages and in the number of outputs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import relu
from torchaudio.transforms import AmplitudeToDB, Spectrogram

from optathlon.tasks.audio.pooling import Pools

SAMPLE_RATE = 16_000
HARMONICS = 6
BANDS_PER_OCTAVE = 24
LOWEST_MIDI = 24  # C1, 32.7 Hz
BANDWIDTH_SLOPE, BANDWIDTH_OFFSET = 0.1079, 24.7


def midi_to_hz(note: Tensor) -> Tensor:
    """Frequencies in Hz of MIDI notes, where 69 is 440 Hz."""
    return 440.0 * 2.0 ** ((note - 69.0) / 12.0)


def harmonic_centers() -> Tensor:
    """Center frequencies in Hz, float64 (6, 128): harmonic h of each fundamental from C1 up to, not including, the note
    nearest to a twelfth of the sample rate (E6), two to a semitone."""
    highest = round(69 + 12 * math.log2(SAMPLE_RATE / (2 * HARMONICS) / 440.0))
    count = (highest - LOWEST_MIDI) * BANDS_PER_OCTAVE // 12
    notes = LOWEST_MIDI + torch.arange(count, dtype=torch.float64) * 12 / BANDS_PER_OCTAVE
    return torch.arange(1, HARMONICS + 1, dtype=torch.float64)[:, None] * midi_to_hz(notes)


class HarmonicFilters(nn.Module):
    """Waveforms (batch, samples) at 16 kHz to decibels (batch, 6, 128, frames).

    A power spectrogram through triangles with peak 1 at fixed centers f and base (0.1079 f + 24.7) / Q Hz. Q is one
    learnable scalar without bounds. Always float32: powers span more than half precision does.
    """

    scaled_distance: Tensor

    def __init__(self, n_fft: int = 512) -> None:
        super().__init__()
        self.Q = nn.Parameter(torch.ones(1))
        self.spectrogram = Spectrogram(n_fft=n_fft, hop_length=n_fft // 2, power=2.0)
        self.decibels = AmplitudeToDB("power")
        centers = harmonic_centers().flatten()
        bins = torch.linspace(0, SAMPLE_RATE // 2, n_fft // 2 + 1, dtype=torch.float64)
        half_base = (BANDWIDTH_SLOPE * centers + BANDWIDTH_OFFSET) / 2
        distance = (bins[:, None] - centers).abs() / half_base
        self.register_buffer("scaled_distance", distance.float(), persistent=False)

    def bank(self) -> Tensor:
        """The triangles at the present Q, (bins, 6 x 128)."""
        return relu(1.0 - self.scaled_distance * self.Q.abs())

    def forward(self, waveform: Tensor) -> Tensor:
        with torch.autocast(waveform.device.type, enabled=False):
            power = self.spectrogram(waveform.float())
            bands = power.transpose(1, 2) @ self.bank()
            return self.decibels(bands.transpose(1, 2).unflatten(1, (HARMONICS, -1)))


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs)]


class Residual(nn.Module):
    """Two convolutions and the input itself, summed before the last ReLU."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.path = nn.Sequential(*_convolution(channels, channels), nn.ReLU(), *_convolution(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        return relu(self.path(x) + x)


class HarmonicCNN(nn.Module):
    """Waveforms (batch, samples) to logits (batch, outputs). The last three of seven stages are twice as wide."""

    def __init__(
        self, outputs: int, pools: Pools, *, channels: int = 128, n_fft: int = 512, dropout: float = 0.5
    ) -> None:
        super().__init__()
        wide = 2 * channels
        stages = (
            nn.Sequential(*_convolution(HARMONICS, channels), nn.ReLU()),
            *(Residual(channels) for _ in range(3)),
            nn.Sequential(*_convolution(channels, wide), nn.ReLU()),
            *(Residual(wide) for _ in range(2)),
        )
        self.filters = HarmonicFilters(n_fft)
        self.input_norm = nn.BatchNorm2d(HARMONICS)
        self.stages = nn.Sequential(
            *(nn.Sequential(stage, nn.MaxPool2d(pool)) for stage, pool in zip(stages, pools, strict=True))
        )
        self.hidden = nn.Linear(wide, wide)
        self.hidden_norm = nn.BatchNorm1d(wide)
        self.dropout = nn.Dropout(dropout)
        self.output = nn.Linear(wide, outputs)

    def forward(self, waveform: Tensor) -> Tensor:
        x = self.input_norm(self.filters(waveform))
        if x.device.type == "cpu":  # narrow networks train 30 % faster; weights stay as they are
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stages(x).amax(dim=(2, 3))
        return self.output(self.dropout(relu(self.hidden_norm(self.hidden(x)))))


def harmonic_cnn_tags(tags: dict[str, set[str]], net: nn.Module) -> dict[str, set[str]]:
    """`tags`, of the parameters of a HarmonicCNN by name, and which of its weights are followed by a batch norm, and
    which are the classifier's."""
    for path, module in net.named_modules():
        if isinstance(module, nn.Conv2d) or path == "hidden":
            tags[f"{path}.weight"].add("scale_invariant")
    for leaf in ("weight", "bias"):
        tags[f"output.{leaf}"].add("head")
    return tags
