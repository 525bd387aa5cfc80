"""MagnaTagATune on disk: the table, the archive in three pieces, the split by folder, and what is refused by name."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.mtat import archive
from optathlon.tasks.audio.mtat.archive import Joined, archives, unpack
from optathlon.tasks.audio.mtat.dataset import MagnaTagATune
from optathlon.tasks.audio.mtat.layout import (
    ANNOTATIONS,
    COUNTS,
    FOLDERS,
    SPLITS,
    UNREADABLE,
    most_frequent,
    read_annotations,
    split,
    write_annotations,
)
from optathlon.tasks.audio.mtat.miniature import write_clip
from optathlon.tasks.data.dataset import build, prepare
from optathlon.tasks.errors import DataError
from optathlon.tasks.registry import dataset

CLIPS = {
    "0/a-0-29.mp3": ["guitar", "slow"],
    "b/b-0-29.mp3": ["guitar"],
    "c/c-0-29.mp3": ["slow", "guitar"],
    "d/d-0-29.mp3": ["no piano"],
    "f/e-0-29.mp3": [],
}


@pytest.fixture
def table(tmp_path) -> Path:
    write_annotations(tmp_path / ANNOTATIONS, ("slow", "guitar", "no piano", "weird"), CLIPS)
    return tmp_path / ANNOTATIONS


@pytest.fixture
def folder(table) -> Path:
    """A data set whose clips are all there, each a second of noise."""
    for name in FOLDERS:
        (table.parent / "mp3" / name).mkdir(parents=True)
    for path in CLIPS:
        write_clip(table.parent / "mp3" / path, 0.1 * np.random.default_rng(0).standard_normal(16_000))
    return table.parent


def test_the_registry_knows_it():
    assert isinstance(dataset("mtat"), MagnaTagATune)


def test_the_published_split_is_by_folder():
    assert (SPLITS["0"], SPLITS["b"], SPLITS["c"], SPLITS["d"], SPLITS["f"]) == (
        "training", "training", "validation", "test", "test",
    )  # fmt: skip
    assert "".join(SPLITS) == FOLDERS
    assert sum(COUNTS.values()) + len(UNREADABLE) == 21_111
    assert {SPLITS[path[0]] for path in UNREADABLE} == {"training"}


def test_the_table_is_tab_separated_and_quoted_as_the_official_one_is(table):
    lines = table.read_text().splitlines()
    assert lines[0] == '"clip_id"\t"slow"\t"guitar"\t"no piano"\t"weird"\t"mp3_path"'
    assert lines[1] == '"1"\t"1"\t"1"\t"0"\t"0"\t"0/a-0-29.mp3"'
    found = read_annotations(table)
    assert found.tags == ("slow", "guitar", "no piano", "weird")
    assert [clip.path for clip in found.clips] == list(CLIPS)
    assert [clip.tags for clip in found.clips] == [(0, 1), (1,), (0, 1), (2,), ()]


def test_tags_are_those_most_frequent_over_all_clips_and_a_clip_without_any_is_dropped(table):
    tags, splits = split(read_annotations(table))
    assert tags == ("guitar", "slow", "no piano")
    found = {name: [(clip.path, clip.tags) for clip in clips] for name, clips in splits.items()}
    assert found == {
        "training": [("0/a-0-29.mp3", (0, 1)), ("b/b-0-29.mp3", (0,))],
        "validation": [("c/c-0-29.mp3", (0, 1))],
        "test": [("d/d-0-29.mp3", (2,))],
    }


def test_the_fifty_most_frequent_are_kept(tmp_path):
    tags = [f"tag {n}" for n in range(188)]
    clips = {f"0/clip{n}.mp3": tags[: 1 + n % 60] for n in range(120)}
    write_annotations(tmp_path / "t.csv", tags, clips)
    assert most_frequent(read_annotations(tmp_path / "t.csv")) == list(range(50))


@pytest.mark.parametrize("change", [lambda t: t.replace("\n", "\r\n"), lambda t: "\ufeff" + t, lambda t: t + "\n\n"])
def test_line_ends_byte_order_marks_and_empty_lines_do_not_matter(table, change):
    expected = read_annotations(table)
    table.write_bytes(change(table.read_text()).encode())
    assert read_annotations(table) == expected


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"clip_id"', '"id"', r"line 1: has columns .* expected clip_id"),
        ('"guitar"', '"slow"', r"line 1: .*each tag once"),
        ('"1"\t"1"\t"1"', '"1"\t"1"\t"2"', "line 2: a tag is '2', expected 0 or 1"),
        ('\t"b/b-0-29.mp3"', "", "line 3: has 5 columns, expected 6"),
        ("b/b-0-29.mp3", "0/a-0-29.mp3", "line 3: '0/a-0-29.mp3' is named twice"),
        ("b/b-0-29.mp3", "../b-0-29.mp3", "line 3: '../b-0-29.mp3' is no path like d/name.mp3"),
        ("b/b-0-29.mp3", "g/b-0-29.mp3", "line 3: 'g/b-0-29.mp3' is no path like d/name.mp3"),
    ],
)
def test_a_broken_table_is_refused_by_line(table, old, new, message):
    table.write_text(table.read_text().replace(old, new, 1))
    with pytest.raises(DataError, match=message):
        read_annotations(table)


def test_a_table_that_is_no_text_is_refused(table):
    table.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"annotations_final.csv is not UTF-8"):
        read_annotations(table)


def test_pieces_read_as_one_file(tmp_path):
    content = bytes(range(256)) * 10
    paths = [tmp_path / str(n) for n in range(3)]
    for path, piece in zip(paths, (content[:700], content[700:701], content[701:]), strict=True):
        path.write_bytes(piece)
    with io.BufferedReader(Joined(paths)) as joined:
        assert joined.read() == content
        assert joined.seek(-10, io.SEEK_END) == len(content) - 10
        assert joined.read() == content[-10:]
        assert joined.seek(699) == 699
        assert joined.read(3) == content[699:702]


def in_pieces(folder: Path, monkeypatch) -> None:
    """Put the clips of `folder` into an archive in three pieces, with their digests as if they were the published."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as out:
        for path in CLIPS:
            out.write(folder / "mp3" / path, path)
            (folder / "mp3" / path).unlink()
    for place in sorted((folder / "mp3").iterdir()):
        place.rmdir()
    (folder / "mp3").rmdir()
    content = packed.getvalue()
    third = len(content) // 3
    pieces = (content[:third], content[third : 2 * third], content[2 * third :])
    for name, piece in zip(archive.PARTS, pieces, strict=True):
        (folder / name).write_bytes(piece)
        monkeypatch.setitem(archive.PARTS, name, hashlib.md5(piece).hexdigest())


def test_the_archive_in_three_pieces_is_unpacked_without_being_joined(folder, monkeypatch):
    in_pieces(folder, monkeypatch)
    MagnaTagATune().verify(folder)
    assert {path.name for path in (folder / "mp3").iterdir()} == set(FOLDERS)
    assert recordings.read(folder).counts == {"training": 2, "validation": 1, "test": 1}
    assert not (folder / "mp3.zip").exists()


def test_a_missing_piece_and_a_damaged_one_are_named(folder, monkeypatch):
    in_pieces(folder, monkeypatch)
    damaged = folder / "mp3.zip.002"
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[:-1])
    with pytest.raises(DataError, match=r"mp3\.zip\.002 has MD5 .* bytes\), expected .*: fetch it again"):
        MagnaTagATune().verify(folder)
    damaged.unlink()
    with pytest.raises(DataError, match=r"has mp3\.zip\.001, mp3\.zip\.003 but not mp3\.zip\.002"):
        archives(folder)
    assert not (folder / "mp3").exists()


def test_an_archive_of_something_else_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "mp3.zip", "w") as out:
        out.writestr("readme.txt", "hello")
    with pytest.raises(DataError, match="holds no clips"):
        unpack([tmp_path / "mp3.zip"], tmp_path)
    (tmp_path / "mp3.zip").write_bytes(b"no archive")
    with pytest.raises(DataError, match="cannot be unpacked"):
        unpack([tmp_path / "mp3.zip"], tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["mp3.zip"]


@pytest.mark.parametrize("place", [".", "mp3", "magnatagatune", "audio of 2009"])
def test_clips_are_found_beside_the_table_and_in_a_folder_there(folder, place):
    (folder / "__MACOSX").mkdir()
    (folder / "mp3" / "c" / "._c-0-29.mp3").write_bytes(b"\0\5\26\7")
    if place == ".":
        for name in FOLDERS:
            (folder / "mp3" / name).rename(folder / name)
        (folder / "mp3").rmdir()
    else:
        (folder / "mp3").rename(folder / place)
    MagnaTagATune().verify(folder)
    expected = "c/c-0-29.mp3" if place == "." else f"{place}/c/c-0-29.mp3"
    assert recordings.read(folder).splits["validation"][0].path == expected


def test_what_a_mac_adds_to_an_archive_is_no_clip(tmp_path):
    with zipfile.ZipFile(tmp_path / "mp3.zip", "w") as out:
        for name in ("0/a.mp3", "__MACOSX/0/a.mp3", "0/._a.mp3"):
            out.writestr(name, name)
    unpack([tmp_path / "mp3.zip"], tmp_path)
    assert [p.name for p in (tmp_path / "mp3/0").iterdir()] == ["a.mp3"]
    assert (tmp_path / "mp3/0/a.mp3").read_text() == "0/a.mp3"


def test_missing_clips_are_counted_and_named(folder):
    (folder / "mp3/b/b-0-29.mp3").unlink()
    with pytest.raises(DataError, match=r"1 of 4 clips are missing in .*mp3: b/b-0-29.mp3"):
        MagnaTagATune().verify(folder)


def test_a_clip_cut_short_is_named(folder):
    path = folder / "mp3/b/b-0-29.mp3"
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(DataError, match=r"1 of 4 recordings cannot be decoded.*\n  mp3/b/b-0-29.mp3 is cut short"):
        MagnaTagATune().verify(folder)


def test_the_three_unreadable_clips_are_left_out_and_told(tmp_path):
    write_annotations(tmp_path / ANNOTATIONS, ("slow",), {path: ["slow"] for path in (*CLIPS, *UNREADABLE)})
    for name in FOLDERS:
        (tmp_path / "mp3" / name).mkdir(parents=True)
    for path in CLIPS:
        write_clip(tmp_path / "mp3" / path, 0.1 * np.ones(16_000))
    MagnaTagATune().verify(tmp_path)
    found = recordings.read(tmp_path)
    assert found.counts == {"training": 2, "validation": 1, "test": 2}
    assert found.left_out == dict.fromkeys(UNREADABLE, "known to be unreadable")


def test_only_the_published_table_and_counts_are_official(folder):
    class Ours(MagnaTagATune):
        annotations_md5 = hashlib.md5((folder / ANNOTATIONS).read_bytes()).hexdigest()
        counts = {"training": 2, "validation": 1, "test": 1}  # noqa: RUF012

    assert MagnaTagATune().verify(folder) is None
    assert Ours().verify(folder) == "MD5 of annotations_final.csv, split counts"


def test_in_which_order_clips_were_decoded_is_no_other_edition(folder, tmp_path_factory):
    """What was broken at first is decoded last, and lies last among the samples."""
    root = tmp_path_factory.mktemp("data")
    for name in ("whole", "mended"):
        shutil.copytree(folder, root / name / "mtat")
    whole = prepare(MagnaTagATune(), root / "whole")
    clip = root / "mended/mtat/mp3/0/a-0-29.mp3"
    content = clip.read_bytes()
    clip.write_bytes(content[:-50])
    with pytest.raises(DataError, match="is cut short"):
        prepare(MagnaTagATune(), root / "mended")
    clip.write_bytes(content)
    mended = prepare(MagnaTagATune(), root / "mended")
    places = [root / name / "mtat/decoded/clips.json" for name in ("whole", "mended")]
    assert places[0].read_bytes() != places[1].read_bytes()
    assert mended.edition == whole.edition
    clip.write_bytes(content + b"TAG")
    assert prepare(MagnaTagATune(), root / "mended").edition != whole.edition


def test_a_folder_without_the_data_says_what_to_fetch(tmp_path):
    (tmp_path / "mtat").mkdir()
    with pytest.raises(DataError, match=r"annotations_final.csv is missing; expected .*mp3.zip.001"):
        prepare(MagnaTagATune(), tmp_path)


@pytest.mark.slow
def test_the_miniature_is_the_same_each_time_and_has_each_tag_in_each_split(tagging_data, tmp_path):
    build(MagnaTagATune(), tmp_path, "miniature")
    names = [line.split("\t")[0] for line in (tmp_path / "mtat/files.tsv").read_text().splitlines()]
    assert len(names) == 68
    for name in names:
        assert (tmp_path / "mtat" / name).read_bytes() == (tagging_data / "mtat" / name).read_bytes(), name
    found = recordings.read(tmp_path / "mtat")
    assert found.counts == {"training": 48, "validation": 4, "test": 12}
    assert set(found.tags) == {"flute", "harp", "synth", "drums", "fast", "slow"}
    for split_name, clips in found.splits.items():
        truth = recordings.truth(clips, 6)
        assert (truth.any(0) & ~truth.all(0)).all(), split_name
