"""Sound files, written so that a full disk is an error of the system that names the file."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import soundfile

from optathlon.tasks.data.files import writing


def write_sound(path: Path, samples: np.ndarray, rate: int, kind: str) -> None:
    """Write `samples` (n,) at `rate` Hz as a file of that `kind`, "WAV" (16-bit PCM) or "MP3".

    libsndfile encodes into memory: of a disk that is full it would say no more than "System error".
    """
    encoded = io.BytesIO()
    soundfile.write(encoded, samples, rate, format=kind, subtype="PCM_16" if kind == "WAV" else None)
    with writing(path, sync=False) as file:
        file.write(encoded.getvalue())
