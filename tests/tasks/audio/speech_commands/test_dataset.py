"""Speech Commands on disk: official layouts, the split rule, the archive, what is refused, miniature and stand-in."""

from __future__ import annotations

import importlib.util
import io
import itertools
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import soundfile

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.speech_commands import standin
from optathlon.tasks.audio.speech_commands.dataset import SpeechCommands, unpack
from optathlon.tasks.audio.speech_commands.layout import ARCHIVE, LISTS, TREE, WORDS, decode_clip, index, official_split
from optathlon.tasks.data.dataset import build, check, manifest, prepare
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.registry import dataset

COUNTS = {"training": 2 * len(WORDS), "validation": len(WORDS), "test": len(WORDS)}


class OfficialTree(SpeechCommands):
    """As if the tree of these tests were the published data."""

    counts = COUNTS


@pytest.fixture(scope="module")
def original(keyword_data) -> Path:
    return keyword_data / "speech-commands"


@pytest.fixture(scope="module")
def few(original, tmp_path_factory) -> Path:
    """Of the miniature one recording of each word in validation and in test, and two in training."""
    folder = tmp_path_factory.mktemp("few") / "speech-commands"
    chosen = {
        split: [
            clip.path
            for word in range(len(WORDS))
            for clip in [c for c in clips if c.word == word][: COUNTS[split] // len(WORDS)]
        ]
        for split, clips in index(original).items()
    }
    noise = [p.relative_to(original).as_posix() for p in (original / "_background_noise_").iterdir()]
    for path in (*itertools.chain(*chosen.values()), *noise):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(original / path, folder / path)
    for split, name in LISTS.items():
        (folder / name).write_text("".join(f"{path}\n" for path in chosen[split]))
    return folder


@pytest.fixture
def tree(few, tmp_path) -> Path:
    """A copy of them, as if a user had unpacked it."""
    return shutil.copytree(few, tmp_path / "speech-commands", copy_function=shutil.copyfile)


def pack(tree: Path, archive: Path) -> None:
    with tarfile.open(archive, "w:gz", compresslevel=1) as tar:
        tar.add(tree, arcname=".")


def test_the_registry_knows_it():
    assert isinstance(dataset("speech-commands"), SpeechCommands)


def test_labels_are_the_35_words_in_alphabetical_order():
    assert len(WORDS) == 35
    assert list(WORDS) == sorted(WORDS)
    assert (WORDS[0], WORDS[16], WORDS[34]) == ("backward", "marvin", "zero")


def test_the_official_rule_keeps_the_speakers_of_the_published_lists_apart():
    """The speaker alone decides; over many names 10 % and 10 %."""
    assert official_split("left/abc_nohash_0.wav") == official_split("abc_nohash_7.wav")
    splits = [official_split(f"{n:08x}_nohash_0.wav") for n in range(5000)]
    assert splits.count("validation") == pytest.approx(500, abs=80)
    assert splits.count("test") == pytest.approx(500, abs=80)


def test_splits_follow_the_lists_and_training_is_the_rest(tree):
    splits = index(tree)
    assert {split: len(clips) for split, clips in splits.items()} == COUNTS
    for split, name in LISTS.items():
        assert {c.path for c in splits[split]} == set((tree / name).read_text().split())
    assert all(c.path.startswith(WORDS[c.word] + "/") for clips in splits.values() for c in clips)
    moved = splits["training"][0]
    with (tree / LISTS["test"]).open("a") as lines:
        lines.write(moved.path + "\n")
    assert moved in index(tree)["test"]
    assert moved not in index(tree)["training"]


def test_background_noise_is_in_no_split(tree):
    assert len(list((tree / "_background_noise_").glob("*.wav"))) == 2
    assert not [c for clips in index(tree).values() for c in clips if "noise_/" in c.path]


@pytest.mark.slow
def test_miniature_is_deterministic_and_no_speaker_is_in_two_splits(original, tmp_path):
    again = build(SpeechCommands(), tmp_path, "miniature")
    assert again == manifest(original.parent, "speech-commands")
    assert (tmp_path / "speech-commands/files.tsv").read_bytes() == (original / "files.tsv").read_bytes()
    speakers = [{c.path.split("/")[1].split("_")[0] for c in clips} for clips in index(original).values()]
    assert [len(s) for s in speakers] == [12, 2, 2]
    assert len(set.union(*speakers)) == 16


@pytest.mark.parametrize("place", [".", "SpeechCommands/speech_commands_v0.02", "speech_commands_v0.02"])
def test_an_unpacked_tree_is_official_by_its_counts(tree, tmp_path, place):
    root = tmp_path / "data"
    shutil.copytree(tree, root / "speech-commands" / place)
    found = prepare(OfficialTree(), root)
    assert (found.edition, found.verified) == ("official", "split counts and words")


def test_other_counts_are_a_custom_edition(tree):
    (tree / index(tree)["training"][0].path).unlink()
    assert OfficialTree().verify(tree) is None
    assert prepare(SpeechCommands(), tree.parent).edition.startswith("custom-")


@pytest.mark.slow
def test_the_archive_is_unpacked_once_and_official_by_its_digest(tree, tmp_path):
    root = tmp_path / "data"
    folder = root / "speech-commands"
    folder.mkdir(parents=True)
    pack(tree, folder / ARCHIVE)

    class Official(OfficialTree):
        archive_sha256 = file_digest(folder / ARCHIVE)

    found = prepare(Official(), root)
    assert (found.edition, found.verified) == ("official", f"SHA-256 of {ARCHIVE}, split counts")
    (folder / TREE / "README.md").write_text("kept")
    assert prepare(Official(), root).edition == "official"
    assert (folder / TREE / "README.md").exists()
    check(Official(), root)
    assert OfficialTree().verify(folder) is None, "an archive of another digest beside the tree is not official"
    expected = ["SpeechCommands", ARCHIVE, "decoded", "manifest.json", "files.tsv"]
    assert sorted(p.name for p in folder.iterdir()) == sorted(expected)


def hostile(kind: str, outside: Path) -> tarfile.TarInfo:
    member = tarfile.TarInfo("a.txt")
    if kind == "dots":
        member.name = "../../../../evil.txt"
    elif kind == "absolute link":
        member.type, member.linkname = tarfile.SYMTYPE, str(outside)
    elif kind == "relative link":
        member.type, member.linkname = tarfile.SYMTYPE, "../../../.."
    elif kind == "hard link":
        member.type, member.linkname = tarfile.LNKTYPE, "../../../../evil.txt"
    elif kind == "device":
        member.type = tarfile.CHRTYPE
    return member


@pytest.mark.parametrize("kind", ["dots", "absolute link", "relative link", "hard link", "device"])
def test_a_hostile_archive_writes_nothing_outside(tmp_path, kind):
    folder = tmp_path / "a/b/speech-commands"
    folder.mkdir(parents=True)
    (tmp_path / "evil.txt").write_text("mine")
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        member = hostile(kind, tmp_path)
        content = b"theirs" if member.isreg() else b""
        member.size = len(content)
        tar.addfile(member, io.BytesIO(content))
    with pytest.raises(DataError, match=r"expected af14739e.*: fetch it again"):
        SpeechCommands().verify(folder)
    assert (tmp_path / "evil.txt").read_text() == "mine"
    assert not (folder / TREE).exists()
    assert {p.name for p in tmp_path.rglob("*") if not p.is_dir()} == {"evil.txt", ARCHIVE}


@pytest.mark.parametrize("damage", ["truncated", "not gzip"])
def test_a_damaged_archive_is_named_and_leaves_nothing(tree, tmp_path, damage):
    archive = tmp_path / ARCHIVE
    pack(tree, archive)
    content = archive.read_bytes()
    archive.write_bytes(content[: len(content) // 2] if damage == "truncated" else b"<html>moved</html>")
    with pytest.raises(DataError, match=rf"{ARCHIVE} has SHA256 .* bytes\), expected af14739e"):
        unpack(archive, tmp_path / "new" / TREE)
    assert not [p for p in (tmp_path / "new").rglob("*") if p.is_file()]


def test_an_empty_folder_says_what_to_fetch(tmp_path):
    expected = rf"expected the archive {ARCHIVE} .*download\.tensorflow\.org"
    with pytest.raises(DataError, match=rf"speech-commands: no validation_list\.txt or .*; {expected}"):
        SpeechCommands().verify(tmp_path)


def test_a_missing_word_and_an_unknown_one_are_named(tree):
    (tree / "visual").rename(tree / "nonsense")
    with pytest.raises(DataError, match=r"nonsense is no word of Speech Commands v0\.02"):
        index(tree)
    shutil.rmtree(tree / "nonsense")
    with pytest.raises(DataError, match="visual is missing; expected the 35 words"):
        index(tree)


def test_litter_marks_and_line_ends_change_nothing(tree):
    before = index(tree)
    for name in ("._0a_nohash_0.wav", ".DS_Store"):
        (tree / "yes" / name).write_bytes(b"\0\5\x16\7")
    for name in ("__MACOSX", ".ipynb_checkpoints"):
        (tree / name).mkdir()
    for name in LISTS.values():
        path = tree / name
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    assert index(tree) == before


def test_a_missing_list_is_named(tree):
    (tree / LISTS["validation"]).unlink()
    with pytest.raises(DataError, match=r"validation_list\.txt cannot be read"):
        index(tree)


@pytest.mark.parametrize("line", ["bed/none_nohash_0.wav", "../../secret.wav", "_background_noise_/white_noise.wav"])
def test_a_listed_file_that_is_no_recording_is_named_with_its_line(tree, line):
    with (tree / LISTS["test"]).open("a") as lines:
        lines.write(line + "\n")
    with pytest.raises(DataError, match=r"testing_list\.txt, line 36: .* is not a recording"):
        index(tree)


def test_a_file_in_both_lists_is_refused(tree):
    first = (tree / LISTS["validation"]).read_text().split()[0]
    with (tree / LISTS["test"]).open("a") as lines:
        lines.write(first + "\n")
    with pytest.raises(DataError, match=r"line 36: .* is listed twice \(validation already\)"):
        index(tree)


def test_a_word_without_validation_recordings_is_refused(tree):
    path = tree / LISTS["validation"]
    path.write_text("".join(f"{p}\n" for p in path.read_text().split() if not p.startswith("dog/")))
    with pytest.raises(DataError, match="validation split has no recording of 'dog'"):
        index(tree)


def write(path: Path, samples: int, rate: int = 16_000, channels: int = 1, **how: str) -> None:
    soundfile.write(path, np.zeros((samples, channels), dtype=np.int16), rate, **how)


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("8000 Hz, 1 channels", lambda p: write(p, 100, rate=8000)),
        ("2 channels", lambda p: write(p, 100, channels=2)),
        ("WAV FLOAT", lambda p: write(p, 100, subtype="FLOAT")),
        ("FLAC PCM_16", lambda p: write(p, 100, format="FLAC")),
        ("16385 samples", lambda p: write(p, 16_385)),
        ("0 samples", lambda p: write(p, 0)),
        ("only .* bytes of the", lambda p: p.write_bytes(p.read_bytes()[:2000])),
        ("not a readable wav", lambda p: p.write_bytes(b"RIFF")),
        ("not a readable wav", lambda p: p.write_bytes(b"")),
        ("cannot be read: No such file", lambda p: p.unlink() or p.symlink_to("nowhere")),
    ],
)
def test_a_bad_recording_is_named(tree, reason, spoil):
    path = tree / index(tree)["test"][3].path
    spoil(path)
    name = path.relative_to(tree).as_posix()
    with pytest.raises(DataError, match=rf"speech-commands: 1 of 140 recordings .*\n  {name} .*{reason}"):
        SpeechCommands().verify(tree)


def test_recordings_are_decoded_as_they_were_written(tmp_path):
    samples = np.array([0, 1, -1, 32767, -32768], dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", samples, 16_000)
    sound = decode_clip((tmp_path / "a.wav").read_bytes(), "a.wav")
    assert sound.dtype == np.float32
    assert sound.tolist() == (samples / np.float32(32768)).tolist()


@pytest.mark.parametrize("place", [".", TREE])
def test_every_recording_is_in_the_decoded_samples_with_its_word(tree, tmp_path, place):
    folder = tmp_path / "data/speech-commands"
    shutil.copytree(tree, folder / place)
    SpeechCommands().verify(folder)
    recorded, samples = recordings.read(folder), recordings.samples(folder)
    assert recorded.tags == WORDS
    for split, clips in index(tree).items():
        assert [(c.path, c.tags) for c in recorded.splits[split]] == [
            ((Path(place) / clip.path).as_posix(), (clip.word,)) for clip in clips
        ]
    for clip in recorded.splits["test"]:
        expected, _ = soundfile.read(folder / clip.path, dtype="int16")
        np.testing.assert_array_equal(samples[clip.start : clip.start + clip.length] * 32768, expected)


needs_espeak = pytest.mark.skipif(
    not all(importlib.util.find_spec(m) for m in standin.PACKAGES), reason="espeakng-loader and soxr are not installed"
)


def few_voices() -> list[str]:
    """A voice for validation, one for test, two for training."""
    by_split: dict[str, list[str]] = {}
    for voice in standin.voices():
        by_split.setdefault(official_split(standin.speaker(voice)), []).append(voice)
    return [*by_split["training"][:2], by_split["validation"][0], by_split["test"][0]]


@needs_espeak
@pytest.mark.slow
def test_the_standin_speaks_every_word_and_says_the_same_again(tmp_path, monkeypatch):
    chosen = few_voices()
    monkeypatch.setattr(standin, "voices", lambda: chosen)
    first = build(SpeechCommands(), tmp_path / "a", "standin")
    monkeypatch.setattr(standin.os, "cpu_count", lambda: 1)
    assert build(SpeechCommands(), tmp_path / "b", "standin") == first
    lists = [(tmp_path / r / "speech-commands/files.tsv").read_text() for r in "ab"]
    assert lists[0] == lists[1]
    splits = index(tmp_path / "a/speech-commands")
    assert {split: len(clips) for split, clips in splits.items()} == {"training": 70, "validation": 35, "test": 35}
    clips = [soundfile.read(tmp_path / "a/speech-commands" / c.path)[0] for c in splits["training"]]
    assert all(np.abs(c).max() > 0.06 for c in clips)
    assert len({c.tobytes() for c in clips}) == 70


@needs_espeak
@pytest.mark.slow
def test_a_voice_that_cannot_speak_is_an_error_of_the_data(tmp_path, monkeypatch):
    monkeypatch.setattr(standin, "voices", lambda: ["no-such-voice"])
    with pytest.raises(DataError, match="there is no voice 'no-such-voice'"):
        build(SpeechCommands(), tmp_path, "standin")
    assert not list(tmp_path.iterdir())


def test_without_the_package_the_standin_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(standin, "PACKAGES", {"no_such_module": "espeakng-loader"})
    with pytest.raises(DataError, match=r"needs the package espeakng-loader.*pip install 'optathlon\[standins\]'"):
        build(SpeechCommands(), tmp_path, "standin")


@needs_espeak
@pytest.mark.slow
def test_the_whole_standin_is_a_known_edition(tmp_path):
    made = build(SpeechCommands(), tmp_path, "standin")
    assert made.edition == "standin-1" or "espeakng-loader 0.2.4" not in made.verified
    sizes = {split: len(clips) for split, clips in index(tmp_path / "speech-commands").items()}
    assert sizes == {"training": 2345, "validation": 245, "test": 210}
