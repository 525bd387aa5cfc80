"""Sound files come back as they were written; a full disk is an error that names the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile

from optathlon.tasks.audio.writing import write_sound


@pytest.mark.parametrize("kind", ["WAV", "MP3"])
def test_the_bytes_are_those_that_libsndfile_writes_itself(tmp_path: Path, kind: str) -> None:
    sound = np.sin(np.arange(16_000) / 20).astype(np.float32) / 2
    write_sound(tmp_path / "ours", sound, 16_000, kind)
    soundfile.write(tmp_path / "theirs", sound, 16_000, format=kind)
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_a_full_disk_is_named() -> None:
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        write_sound(Path("/dev/full"), np.zeros(16_000, np.int16), 16_000, "WAV")
