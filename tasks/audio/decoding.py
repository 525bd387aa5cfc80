"""One sound file as mono samples at 16 kHz."""

from __future__ import annotations

import functools
import io
import math
import struct
from typing import Any

import numpy as np
import soundfile

from optathlon.tasks.errors import DataError

SAMPLE_RATE = 16_000
LONGEST = 120
"""Seconds; clips have 1, 10 or 29. A damaged header may announce years."""
MOST_CHANNELS = 8
FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3")
"""What clips come in; of libsndfile's other formats some print to the terminal, and none says that it is cut short."""
LOUDEST = 100
"""The largest sample in units of full scale; floats that are in fact whole numbers of 16 bits reach 32,768."""
RATES = range(4_000, 192_001)
LARGEST_KERNEL = 1 << 24
"""Numbers in the filters of a conversion between two rates, which are as many as there are phases of one to the other:
70,560 for 44,100 Hz, but 705,616,000 for 44,101 Hz."""
UNKNOWN_SIZE = 0xFFFFFFFF
"""What a WAV file has for its size that was written to a pipe."""

# Of MPEG-1 (True) and MPEG-2 or 2.5 (False) layer III: kbit/s by the header's four bits, and sample rates by its two.
_BIT_RATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 0),
}
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


class Content(io.BytesIO):
    """A file's bytes for libsndfile, which asks for places before the first byte of damaged ones: Python would print a
    traceback for each."""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return super().seek(offset, whence)
        except ValueError:
            return self.tell()


def decode(content: bytes, name: str) -> np.ndarray:
    """The samples of a sound file's `content`, float32 (n,), 1.0 being full scale.

    libsndfile decodes it, channels are averaged, and other rates than 16 kHz are resampled by torchaudio's windowed
    sinc. DataError with the file's `name` if it is no sound file of FORMATS, is cut short, holds no sound, what is no
    number or beyond LOUDEST, or announces what no clip is like.
    """
    if (whole := announced_bytes(content)) and len(content) < whole:
        raise DataError(f"{name} is cut short: {len(content):,} bytes of the {whole:,} that it announces")
    try:
        with soundfile.SoundFile(Content(content)) as file:
            _check_header(file, name)
            announced, rate = file.frames, file.samplerate
            samples = file.read(announced, dtype="float32", always_2d=True)
    except DataError:
        raise
    except (soundfile.LibsndfileError, RuntimeError, ValueError) as error:
        reason = str(error).rpartition(": ")[2]
        raise DataError(f"{name} is not a readable sound file of {len(content):,} bytes: {reason}") from None
    if len(samples) < announced:
        raise DataError(f"{name} is cut short: {len(samples):,} samples of the {announced:,} that it announces")
    loudest = np.abs(samples).max()
    if not loudest <= LOUDEST:  # also of what is no number
        raise DataError(f"{name} holds a sample of {loudest:g}; expected at most {LOUDEST} times the full scale, 1")
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    return mono if rate == SAMPLE_RATE else _resampled(mono, rate)


def _check_header(file: soundfile.SoundFile, name: str) -> None:
    """DataError for what no clip is like, before memory is taken for it."""
    rate = file.samplerate
    if file.format not in FORMATS:
        raise DataError(f"{name} is a sound file of the format {file.format}; expected one of {', '.join(FORMATS)}")
    if not file.frames:
        raise DataError(f"{name} holds no sound")
    if rate not in RATES or (rate * SAMPLE_RATE) // math.gcd(rate, SAMPLE_RATE) ** 2 > LARGEST_KERNEL:
        raise DataError(f"{name} has {rate:,} samples a second; expected a usual rate, as 16,000, 44,100 or 48,000")
    if file.frames > LONGEST * rate or file.channels > MOST_CHANNELS:
        raise DataError(
            f"{name} announces {file.frames / rate:,.0f} seconds and {file.channels} channels; expected at most"
            f" {LONGEST} and {MOST_CHANNELS}"
        )


def announced_bytes(content: bytes) -> int | None:
    """How long a WAV or an MP3 file is by what stands in it, with the last MP3 frame whole; None if it does not say."""
    if content[:4] == b"RIFF" and len(content) >= 8:
        size = struct.unpack("<I", content[4:8])[0]
        return None if size == UNKNOWN_SIZE else 8 + size
    place = _after_id3(content)
    while size := _frame_size(content, place):
        place += size
    return place if place > len(content) else None


def _after_id3(content: bytes) -> int:
    if content[:3] != b"ID3" or len(content) < 10:
        return 0
    return 10 + sum(byte << shift for byte, shift in zip(content[6:10], (21, 14, 7, 0), strict=True))


def _frame_size(content: bytes, place: int) -> int:
    """Bytes of the MP3 frame at `place`; 0 if there is no header of one."""
    header = content[place : place + 4]
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE6 != 0xE2:  # eleven bits of sync, and layer III
        return 0
    version, rate = header[1] >> 3 & 3, header[2] >> 2 & 3
    kilobits = _BIT_RATES[version == 3][header[2] >> 4]
    if version == 1 or rate == 3 or not kilobits:
        return 0
    samples = 144 if version == 3 else 72
    return samples * kilobits * 1000 // _RATES[version][rate] + (header[2] >> 1 & 1)


@functools.lru_cache(8)
def _resampler(rate: int) -> Any:
    from torchaudio.transforms import Resample

    return Resample(rate, SAMPLE_RATE)


def _resampled(samples: np.ndarray, rate: int) -> np.ndarray:
    import torch

    return _resampler(rate)(torch.from_numpy(np.ascontiguousarray(samples))).numpy()
