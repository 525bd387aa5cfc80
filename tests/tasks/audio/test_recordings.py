"""Clips are decoded once, in any stopped and resumed order, and what cannot be decoded is named."""

from __future__ import annotations

import errno
import io
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from torchaudio.functional import resample

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.decoding import announced_bytes, decode
from optathlon.tasks.audio.recordings import Listed, ensure
from optathlon.tasks.data.dataset import Dataset, prepare
from optathlon.tasks.data.progress import counted
from optathlon.tasks.errors import DataError


def encoded(samples: np.ndarray, rate: int, kind: str, **how: Any) -> bytes:
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


def make(folder: Path, splits=SPLITS, tags=("a", "b"), decode=decode) -> recordings.Recordings:
    return ensure("noises", folder, tags, splits, {}, decode)


class Counting:
    """Decodes, and knows the names of what it did."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def __call__(self, content: bytes, name: str) -> np.ndarray:
        self.names.append(name)
        return decode(content, name)


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
    for damaged in (b'{"splits":{"\xf0":1}}', b'{"x":' + b"[" * 10**5):
        (folder / "decoded" / "clips.json").write_bytes(damaged)
        with pytest.raises(DataError, match="decoded is missing or unreadable"):
            recordings.read(folder)
    assert len(recordings.samples(folder) if make(folder) else ()) > 0


def test_samples_that_were_cut_short_are_never_mapped_as_reading_them_would_kill(folder, monkeypatch):
    made = make(folder)
    with (folder / "decoded" / "samples.f32").open("r+b") as file:
        file.truncate(4 * 1000)
    with pytest.raises(DataError, match=r"decoded is not whole .*; `optathlon data prepare"):
        recordings.samples(folder)
    monkeypatch.setattr(recordings, "read", lambda _: made)  # it is cut short just after its size was looked at
    with pytest.raises(DataError, match=r"samples\.f32 was cut short; `optathlon data prepare"):
        recordings.samples(folder)


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
        decoded = Counting()

        def stopping(content: bytes, name: str, stop=stop, decoded=decoded) -> np.ndarray:
            if len(decoded.names) == stop:
                raise KeyboardInterrupt
            return decoded(content, name)

        monkeypatch.setattr(recordings, "AT_ONCE", 1)
        with pytest.raises(KeyboardInterrupt):
            make(folder, decode=stopping)
        with (folder / ".decoding" / "samples.f32").open("ab") as file:
            file.write(b"half a clip")
        with (folder / ".decoding" / "done.tsv").open("a") as file:
            file.write("4.wav\t20")  # a line that a full disk cut
        again = Counting()
        made = make(folder, decode=again)
        assert len(again.names) == 5 - stop
        assert made.source == whole.source
        found = [recordings.samples(folder)[c.start : c.start + c.length] for c in made.splits["training"]]
        assert all(map(np.array_equal, found, expected))


def stopped_after_all(folder: Path, monkeypatch) -> Path:
    """The folder in which all clips are decoded, of a call that was stopped before it had its name."""

    def stopping(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(recordings.shutil, "rmtree", stopping)
        with pytest.raises(KeyboardInterrupt):
            make(folder)
    return folder / ".decoding"


def test_who_is_stopped_at_the_very_end_has_nothing_to_decode_again(folder, monkeypatch):
    stopped_after_all(folder, monkeypatch)
    again = Counting()
    made = make(folder, decode=again)
    assert not again.names
    assert sorted(p.name for p in (folder / "decoded").iterdir()) == ["clips.json", "samples.f32"]
    (folder / "decoded" / "done.tsv").write_text("of one who was stopped after the folder had its name")
    assert make(folder) == made
    assert not (folder / "decoded" / "done.tsv").exists()


@pytest.mark.parametrize("damage", ["zeros", "cut line", "cut samples", "another file"])
def test_what_a_crash_of_the_machine_left_half_written_is_decoded_again(folder, monkeypatch, damage):
    expected = make(folder)
    right = {c.path: recordings.samples(folder)[c.start :][: c.length].copy() for c in expected.splits["training"]}
    (folder / "decoded").rename(folder / "before")
    work = stopped_after_all(folder, monkeypatch)
    lines = (work / "done.tsv").read_text().splitlines()
    path, _, start, length, _ = lines[-1].split("\t")
    samples = (work / "samples.f32").read_bytes()
    if damage == "zeros":
        (work / "samples.f32").write_bytes(samples[: 4 * int(start)] + bytes(4 * int(length)))
    elif damage == "cut line":
        (work / "done.tsv").write_text("\n".join([*lines[:-1], lines[-1][:-1]]))
    elif damage == "cut samples":
        (work / "samples.f32").write_bytes(samples[:-1])
    else:
        (folder / path).write_bytes(encoded(noise(int(length))[::-1], 16_000, "WAV", subtype="FLOAT"))
    again = Counting()
    made = make(folder, decode=again)
    assert again.names == [path]
    found = {c.path: recordings.samples(folder)[c.start :][: c.length] for c in made.splits["training"]}
    assert all(np.array_equal(found[name], right[name]) for name in right)
    assert (made.source == expected.source) == (damage != "another file")


class Noises(Dataset):
    """The six files as a data set."""

    name = "noises"
    get = "six noises"

    def verify(self, folder: Path) -> None:
        make(folder)

    def write_miniature(self, folder: Path) -> None:
        raise NotImplementedError


def test_a_full_disk_is_one_line_that_names_where_and_not_a_signal(folder, tmp_path_factory, monkeypatch):
    class Full(io.FileIO):
        def write(self, content) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    real_open = Path.open
    opened = lambda path, mode="r", **how: (  # noqa: E731
        Full(path, "ab") if path.name == "samples.f32" and mode == "ab" else real_open(path, mode, **how)
    )
    root = tmp_path_factory.mktemp("data")
    shutil.copytree(folder, root / "noises")
    monkeypatch.setattr(Path, "open", opened)
    with pytest.raises(
        DataError, match=r"noises: .*/noises/\.decoding: No space left on device; free some space there"
    ):
        prepare(Noises(), root)
    monkeypatch.setattr(Path, "open", real_open)
    assert prepare(Noises(), root).edition.startswith("custom-")


def test_every_file_that_cannot_be_decoded_is_named_and_the_others_are_kept(folder):
    (folder / "1.wav").write_bytes(b"<html>404</html>")
    (folder / "5.wav").write_bytes((folder / "5.wav").read_bytes()[:-100])
    with pytest.raises(DataError, match=r"noises: 2 of 5 recordings cannot be decoded; fetch them again:\n") as error:
        make(folder)
    assert "1.wav is not a readable sound file of 16 bytes" in str(error.value)
    assert "5.wav is cut short" in str(error.value)
    assert not (folder / "decoded").exists()
    for number in (1, 5):
        (folder / f"{number}.wav").write_bytes(encoded(noise(100 * (number + 1)), 16_000, "WAV", subtype="FLOAT"))
    again = Counting()
    make(folder, decode=again)
    assert sorted(again.names) == ["1.wav", "5.wav"]


def test_a_library_that_does_not_load_is_no_fault_of_the_recordings(folder):
    def decode(content: bytes, name: str) -> np.ndarray:
        raise OSError("could not load libtorchaudio.so")

    with pytest.raises(OSError, match=r"could not load libtorchaudio\.so"):
        make(folder, decode=decode)


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


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW"])
def test_wav_files_of_every_kind_of_sample_are_read(subtype):
    samples = noise(3201)[:, 0]
    sound = decode(encoded(samples, 16_000, "WAV", subtype=subtype), "x")
    np.testing.assert_allclose(sound, samples, atol=0.02)


def test_a_wav_file_that_was_written_to_a_pipe_announces_no_size_and_is_read():
    content = encoded(noise(500), 16_000, "WAV", subtype="PCM_16")
    assert content[36:40] == b"data"
    piped = content[:4] + b"\xff" * 4 + content[8:40] + b"\xff" * 4 + content[44:]
    np.testing.assert_array_equal(decode(piped, "x"), decode(content, "x"))


def with_rate(rate: int) -> bytes:
    content = bytearray(encoded(noise(500), 16_000, "WAV", subtype="PCM_16"))
    content[24:28] = rate.to_bytes(4, "little")
    return bytes(content)


def announcing(samples: int) -> bytes:
    """A FLAC file whose header announces so many samples."""
    content = bytearray(encoded(noise(500), 16_000, "FLAC"))
    content[21:26] = ((content[21] >> 4 << 36) | samples).to_bytes(5, "big")
    return bytes(content)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (with_rate(1), "x has 1 samples a second; expected a usual rate"),
        (with_rate(44_101), "x has 44,101 samples a second; expected a usual rate"),
        (with_rate(2**31 - 1), "x has 2,147,483,647 samples a second"),
        (announcing(2**36 - 1), "x announces 4,294,967 seconds and 1 channels; expected at most 120 and 8"),
        (encoded(noise(10, 200), 16_000, "WAV"), "x announces 0 seconds and 200 channels"),
        (encoded(noise(10) * np.nan, 16_000, "WAV", subtype="FLOAT"), "x holds a sample of nan; expected at most 100"),
        (encoded(noise(10, 2) * np.inf, 16_000, "WAV", subtype="FLOAT"), "x holds a sample of inf"),
        (encoded(np.full((10, 2), 3e38), 44_100, "WAV", subtype="FLOAT"), r"x holds a sample of 3e\+38"),
        (encoded(np.full(10, -32_767.0), 16_000, "WAV", subtype="FLOAT"), "x holds a sample of 32767"),
        (encoded(noise(500), 16_000, "AIFF"), "x is a sound file of the format AIFF; expected one of WAV, WAVEX, FLAC"),
        (encoded(noise(500), 16_000, "RF64")[:-500], "x is a sound file of the format RF64"),
    ],
)
def test_what_no_clip_is_like_is_refused_before_memory_is_taken_for_it(content, message):
    with pytest.raises(DataError, match=message):
        decode(content, "x")


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG"])
def test_damaged_bytes_give_finite_sound_or_an_error_of_the_data(kind):
    random = np.random.default_rng(1)
    whole = encoded(noise(2000), 22_050, kind)
    for _ in range(60):
        content = bytearray(whole)
        for place in random.integers(0, min(len(content), random.choice([60, 10_000])), 3):
            content[place] = random.integers(256)
        with suppress(DataError):
            assert np.isfinite(decode(bytes(content), "x")).all()


def test_damage_that_leads_before_the_first_byte_prints_no_traceback(capfd):
    content = bytearray(encoded(noise(2000), 16_000, "AIFF"))
    content[41:57] = b"\xff" * 7 + b"\x7f" + content[49:53] + b"\x7f\xff\xff\xff"
    with pytest.raises(DataError, match=r"x is (a sound file of the format AIFF|not a readable sound file)"):
        decode(bytes(content), "x")
    assert capfd.readouterr().err == ""


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
