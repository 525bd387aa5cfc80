"""Clips are decoded once, in any stopped and resumed order, and what cannot be decoded is named."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.decoding import announced_bytes, decode
from optathlon.tasks.audio.recordings import Listed, ensure
from optathlon.tasks.data.dataset import prepare
from optathlon.tasks.data.progress import counted
from optathlon.tasks.errors import DataError


def encoded(samples: np.ndarray, rate: int, kind: str, **how: str) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **how)
    return file.getvalue()


def noise(count: int, channels: int = 1) -> np.ndarray:
    return 0.1 * np.random.default_rng(count).standard_normal((count, channels)).astype(np.float32)


@pytest.fixture
def folder(tmp_path) -> Path:
    """Six WAV files of 100 to 600 samples."""
    for number in range(6):
        (tmp_path / f"{number}.wav").write_bytes(encoded(noise(100 * (number + 1)), 16_000, "WAV", subtype="FLOAT"))
    return tmp_path


SPLITS = {"training": [Listed(f"{n}.wav", (n % 2,)) for n in (3, 1, 0, 5)], "test": [Listed("4.wav", (0, 1))]}


def make(folder: Path, splits=SPLITS, tags=("a", "b")) -> recordings.Recordings:
    return ensure("noises", folder, tags, splits, {})


def test_each_clip_has_its_samples_and_tags(folder):
    made = make(folder)
    assert made == recordings.read(folder)
    assert made.counts == {"training": 4, "test": 1}
    mapped = recordings.samples(folder)
    assert not mapped.flags.writeable
    for clip in (*made.splits["training"], *made.splits["test"]):
        number = int(clip.path[0])
        assert clip.length == 100 * (number + 1)
        np.testing.assert_array_equal(mapped[clip.start : clip.start + clip.length], noise(clip.length)[:, 0])
    assert [clip.tags for clip in made.splits["training"]] == [(1,), (1,), (0,), (1,)]
    assert sorted(p.name for p in folder.iterdir() if p.is_dir()) == ["decoded"]


def test_what_is_there_is_kept_until_a_file_or_a_list_changes(folder):
    make(folder)
    before = (folder / "decoded" / "samples.f32").stat().st_ino
    make(folder)
    assert (folder / "decoded" / "samples.f32").stat().st_ino == before
    (folder / "3.wav").write_bytes(encoded(np.zeros(400, np.float32), 16_000, "WAV", subtype="FLOAT"))
    changed = make(folder).splits["training"][0]
    assert not recordings.samples(folder)[changed.start : changed.start + 400].any()
    assert make(folder, {**SPLITS, "test": [Listed("2.wav", ())]}).splits["test"][0].length == 300
    (folder / "decoded" / "samples.f32").write_bytes(b"")
    with pytest.raises(DataError, match="decoded is not whole"):
        recordings.read(folder)
    assert len(recordings.samples(folder) if make(folder) else ()) > 0


def test_who_is_stopped_goes_on_where_they_were(folder, monkeypatch):
    """Stopped after any number of clips, also in the middle of a write, the result is the same."""
    whole = make(folder)
    expected = [recordings.samples(folder)[c.start : c.start + c.length].copy() for c in whole.splits["training"]]
    for stop in range(5):
        for left in ("decoded", ".decoding"):
            if (folder / left).exists():
                for file in (folder / left).iterdir():
                    file.unlink()
                (folder / left).rmdir()
        decoded: list[str] = []

        def stopping(content: bytes, name: str, stop=stop, decoded=decoded) -> np.ndarray:
            if len(decoded) == stop:
                raise KeyboardInterrupt
            decoded.append(name)
            return decode(content, name)

        monkeypatch.setattr(recordings, "AT_ONCE", 1)
        monkeypatch.setattr(recordings, "decode", stopping)
        with pytest.raises(KeyboardInterrupt):
            make(folder)
        with (folder / ".decoding" / "samples.f32").open("ab") as file:
            file.write(b"half a clip")
        with (folder / ".decoding" / "done.tsv").open("a") as file:
            file.write("4.wav\t20")
        again: list[str] = []
        monkeypatch.setattr(recordings, "decode", lambda c, name, again=again: (again.append(name), decode(c, name))[1])
        made = make(folder)
        assert len(again) == 5 - stop
        assert made.source == whole.source
        found = [recordings.samples(folder)[c.start : c.start + c.length] for c in made.splits["training"]]
        assert all(map(np.array_equal, found, expected))


def test_a_full_disk_is_an_error_and_not_a_signal(folder, monkeypatch):
    class Full(io.FileIO):
        def write(self, content) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), self.name)

    real_open = Path.open
    opened = lambda path, mode="r", **how: (  # noqa: E731
        Full(path, "ab") if path.name == "samples.f32" and mode == "ab" else real_open(path, mode, **how)
    )
    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(OSError, match="No space left on device"):
        make(folder)


def test_every_file_that_cannot_be_decoded_is_named_and_the_others_are_kept(folder, monkeypatch):
    (folder / "1.wav").write_bytes(b"<html>404</html>")
    (folder / "5.wav").write_bytes((folder / "5.wav").read_bytes()[:-100])
    with pytest.raises(DataError, match=r"noises: 2 of 5 recordings cannot be decoded; fetch them again:\n") as error:
        make(folder)
    assert "1.wav is not a readable sound file of 16 bytes" in str(error.value)
    assert "5.wav is cut short" in str(error.value)
    assert not (folder / "decoded").exists()
    for number in (1, 5):
        (folder / f"{number}.wav").write_bytes(encoded(noise(100 * (number + 1)), 16_000, "WAV", subtype="FLOAT"))
    again: list[str] = []
    monkeypatch.setattr(recordings, "decode", lambda c, name: (again.append(name), decode(c, name))[1])
    make(folder)
    assert sorted(again) == ["1.wav", "5.wav"]


def test_channels_are_averaged_and_rates_converted_by_torchaudio():
    stereo = noise(44_100, 2)
    sound = decode(encoded(stereo, 44_100, "WAV", subtype="FLOAT"), "x")
    expected = resample(torch.from_numpy(stereo.mean(1)), 44_100, 16_000)
    assert sound.dtype == np.float32
    assert sound.shape == (16_000,)
    np.testing.assert_allclose(sound, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("rate", [16_000, 44_100, 22_050, 8_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_an_mp3_says_how_long_it_is_and_a_cut_one_is_refused(rate, channels):
    content = encoded(noise(rate, channels), rate, "MP3")
    assert announced_bytes(content) is None
    assert abs(len(decode(content, "x")) - 16_000) <= 1
    tag = b"ID3\x04\x00\x00\x00\x00\x01\x05" + bytes(133)
    assert announced_bytes(tag + content) is None
    for size in (len(content) - 1, len(content) - 30, len(content) // 2 + 7):
        with pytest.raises(DataError, match=r"x is cut short: .* that it announces"):
            decode(content[:size], "x")


@pytest.mark.parametrize("content", [b"", b"RIFF", b"\xff\xf3", b"\0" * 1000, b"ID3"])
def test_what_is_no_sound_file_is_said_to_be_none(content):
    with pytest.raises(DataError, match=r"x is (not a readable sound file|cut short)"):
        decode(content, "x")
    with pytest.raises(DataError, match="x holds no sound"):
        decode(encoded(np.zeros(0, np.float32), 16_000, "WAV"), "x")


def test_progress_is_told_every_few_seconds():
    times = iter([0.0, *range(3, 40, 3)])
    told: list[str] = []
    assert list(counted("abcd", 1004, "things", done=1000, tell=told.append, clock=lambda: next(times))) == list("abcd")
    assert told == [
        "things: 1,002 of 1,004, about 6 seconds left",
        "things: 1,004 of 1,004, about 0 seconds left",
        "things: 1,004 of 1,004, done in 15 seconds",
    ]


def test_what_is_quick_is_not_told_of():
    told: list[str] = []
    assert list(counted("abc", 3, "things", tell=told.append, clock=lambda: 0.0)) == ["a", "b", "c"]
    assert told == []


def test_prepare_turns_a_full_disk_into_one_line(copied, monkeypatch):
    from optathlon.tasks.audio.mtat.dataset import MagnaTagATune

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "samples.f32")

    folder = copied("mtat")
    monkeypatch.setattr(recordings, "_decode_all", full)
    with pytest.raises(DataError, match=r"mtat: samples.f32: No space left on device"):
        prepare(MagnaTagATune(), folder.parent)
