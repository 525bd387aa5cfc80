"""DCASE 2017 task 4 on disk: the tables, the seeded split and its fingerprints, missing clips, locked archives."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from optathlon.tasks.audio import recordings
from optathlon.tasks.audio.dcase2017.dataset import Dcase2017
from optathlon.tasks.audio.dcase2017.layout import (
    COUNTS,
    EVENTS,
    FINGERPRINTS,
    PARTS,
    Row,
    fingerprint,
    held_out,
    read_table,
    split,
    write_clip,
    write_table,
)
from optathlon.tasks.data.dataset import build, prepare
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.registry import dataset

OFFICIAL = Path(os.environ.get("OPTATHLON_DCASE2017_TABLES", "/nowhere"))

PLACES = {part.folder: part.folder for part in PARTS.values()}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A data set of 12 clips of each of three events in training, and 2 each in testing and evaluation."""
    for part, count in (("training", 12), ("testing", 2), ("evaluation", 2)):
        events = {f"{part}{n}_0.000_10.000.wav": [EVENTS[n % 3]] for n in range(3 * count)}
        if part == "training":
            events["training0_0.000_10.000.wav"] = [EVENTS[0], EVENTS[11]]
        write_table(tmp_path / PARTS[part].table, events, "\r\n" if part == "evaluation" else "\n")
        for number, file in enumerate(events):
            write_clip(tmp_path / PARTS[part].folder / f"Y{file}", 0.1 * np.ones(441 * (number % 3 + 1)))
    return tmp_path


def tables(folder: Path) -> dict[str, list[Row]]:
    return {name: read_table(folder / part.table) for name, part in PARTS.items()}


def test_the_registry_knows_it():
    assert isinstance(dataset("dcase2017"), Dcase2017)


def test_the_events_are_the_published_seventeen():
    assert len(EVENTS) == len(set(EVENTS)) == 17
    assert (EVENTS[0], EVENTS[1], EVENTS[11], EVENTS[16]) == ("Train horn", "Air horn, truck horn", "Car", "Train")
    assert sum(COUNTS.values()) == 52_763


@pytest.mark.official
@pytest.mark.skipif(not OFFICIAL.is_dir(), reason="needs the official tables in $OPTATHLON_DCASE2017_TABLES")
def test_the_official_tables_give_the_published_counts_and_fingerprints():
    assert {part.table: file_digest(OFFICIAL / part.table, "md5") for part in PARTS.values()} == {
        part.table: part.table_md5 for part in PARTS.values()
    }
    found = split(tables(OFFICIAL), PLACES)
    assert {name: len(clips) for name, clips in found.items()} == COUNTS
    assert {name: fingerprint(clip.path for clip in clips) for name, clips in found.items()} == FINGERPRINTS


@pytest.mark.parametrize("seed", range(3))
def test_the_held_out_tenth_is_the_one_that_pandas_draws(seed):
    random = np.random.default_rng(seed)
    rows = [Row(f"{random.integers(400)}.wav", int(random.integers(17))) for _ in range(900)]
    frame = pd.DataFrame(rows)
    expected: set[str] = set()
    for event in range(17):
        expected |= set(frame[frame["event"] == event].sample(frac=0.1, random_state=123)["file"])
    assert held_out(rows) == expected


def test_a_clip_with_two_events_is_one_clip_and_all_of_it_in_one_split(folder):
    splits = split(tables(folder), PLACES)
    assert {name: len(clips) for name, clips in splits.items()} == {"training": 39, "validation": 3, "test": 6}
    paths = [clip.path for clips in splits.values() for clip in clips]
    assert len(set(paths)) == len(paths) == 48
    tags_of = {clip.path.rpartition("/")[2]: clip.tags for clips in splits.values() for clip in clips}
    assert tags_of["Ytraining0_0.000_10.000.wav"] == (0, 11)


def test_fingerprints_are_of_the_names_in_the_tables_in_any_order():
    expected = hashlib.md5(b"-a_0_1.wav\nb_0_1.wav").hexdigest()
    assert fingerprint(["x/Yb_0_1.wav", "y/Y-a_0_1.wav"]) == expected == fingerprint(["Y-a_0_1.wav", "Yb_0_1.wav"])


def test_carriage_returns_and_byte_order_marks_do_not_matter(folder):
    part = PARTS["evaluation"]
    rows = read_table(folder / part.table)
    content = (folder / part.table).read_bytes()
    assert content.count(b"\r\n") == 6
    (folder / part.table).write_bytes(b"\xef\xbb\xbf" + content.replace(b"\r\n", b"\n"))
    assert read_table(folder / part.table) == rows


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.wav\t0\t10\tCars", r"line 2: unknown event 'Cars' \(did you mean Car\?\)"),
        ("a.wav\t0\t10", "line 2: has 3 columns, expected file, start, end, event"),
        ("a.mp3\t0\t10\tCar", "line 2: 'a.mp3' is not the name of a WAV file"),
        ("../a.wav\t0\t10\tCar", "line 2: '../a.wav' is not the name of a WAV file"),
    ],
)
def test_a_broken_table_is_refused_by_line(tmp_path, line, message):
    (tmp_path / "t.csv").write_text(f"b.wav\t0\t10\tTrain\n{line}\n")
    with pytest.raises(DataError, match=message):
        read_table(tmp_path / "t.csv")


def test_a_file_of_two_parts_is_refused(folder):
    table = folder / PARTS["evaluation"].table
    table.write_text("training0_0.000_10.000.wav\t0\t10\tCar\n" + table.read_text())
    with pytest.raises(DataError, match=r"training0_0.000_10.000.wav is in the evaluation set and in another"):
        split(tables(folder), PLACES)


def test_missing_clips_are_left_out_counted_and_make_another_edition(folder, capsys):
    class Ours(Dcase2017):
        fingerprints = {  # noqa: RUF012
            name: fingerprint(clip.path for clip in clips) for name, clips in split(tables(folder), PLACES).items()
        }

    assert Ours().verify(folder) is None, "the tables are not the published ones"
    gone = f"{PARTS['training'].folder}/Ytraining5_0.000_10.000.wav"
    (folder / gone).unlink()
    assert Ours().verify(folder) is None
    told = capsys.readouterr().err
    assert f"1 clips of the tables are not there, the first is {gone}" in told
    assert "test" in told
    found = recordings.read(folder)
    assert found.left_out == {gone: "not there"}
    assert sum(found.counts.values()) == 47


def test_the_published_tables_with_all_clips_are_official(folder, monkeypatch):
    for name, part in PARTS.items():
        monkeypatch.setitem(PARTS, name, part._replace(table_md5=file_digest(folder / part.table, "md5")))

    class Ours(Dcase2017):
        fingerprints = {  # noqa: RUF012
            name: fingerprint(clip.path for clip in clips) for name, clips in split(tables(folder), PLACES).items()
        }

    assert Ours().verify(folder) == "MD5 of 3 tables, fingerprints of the splits"


def test_a_locked_archive_is_named_with_what_to_do(folder):
    part = PARTS["testing"]
    (folder / part.folder).rename(folder / "elsewhere")
    with pytest.raises(DataError, match=rf"{part.folder} is missing, and so is {part.archive}"):
        Dcase2017().verify(folder)
    (folder / part.archive).write_bytes(b"PK")
    with pytest.raises(DataError, match=rf"needs a password.*unzip -P PASSWORD {part.archive}.*README"):
        Dcase2017().verify(folder)


def test_tables_and_clips_are_found_a_folder_deeper(folder, tmp_path_factory):
    """As below a clone of the organizers' repository, and an archive unpacked into a folder of its own."""
    Dcase2017().verify(folder)
    whole = recordings.read(folder)
    nested = tmp_path_factory.mktemp("dcase2017")
    for part, place in zip(PARTS.values(), ("audio", "audio", "evaluation set"), strict=True):
        for path, below in ((part.table, "groundtruth_release"), (part.folder, place)):
            (nested / below).mkdir(exist_ok=True)
            (folder / path).rename(nested / below / path)
    (nested / "__MACOSX").mkdir()
    (nested / "audio" / PARTS["testing"].folder / "._Ytesting0_0.000_10.000.wav").write_bytes(b"\0\5\26\7")
    Dcase2017().verify(nested)
    found = recordings.read(nested)
    assert found.counts == whole.counts
    assert found.splits["test"][0].path == "evaluation set/" + whole.splits["test"][0].path
    (nested / "audio" / PARTS["training"].folder).rename(nested / "gone")
    (nested / "audio" / PARTS["training"].archive).write_bytes(b"PK")
    with pytest.raises(DataError, match=r"cd .*/audio && unzip -P PASSWORD Task_4_DCASE_2017_training_set\.zip"):
        Dcase2017().verify(nested)


def test_a_split_without_any_clip_is_refused(folder):
    for path in (folder / PARTS["evaluation"].folder).iterdir():
        path.unlink()
    with pytest.raises(DataError, match="none of the 6 test clips is there"):
        Dcase2017().verify(folder)


def test_tables_too_short_for_a_validation_split_are_refused(folder):
    for part in PARTS.values():
        lines = (folder / part.table).read_text().splitlines()
        (folder / part.table).write_text("\n".join(lines[:2]) + "\n")
    with pytest.raises(DataError, match="the tables leave no validation clip"):
        Dcase2017().verify(folder)


def test_a_folder_without_the_data_says_what_to_fetch(tmp_path):
    (tmp_path / "dcase2017").mkdir()
    with pytest.raises(DataError, match=r"training_set.csv is missing; expected .*password"):
        prepare(Dcase2017(), tmp_path)


@pytest.mark.slow
def test_the_miniature_is_the_same_each_time_with_short_clips_and_every_event_in_the_test(tagging_data, tmp_path):
    build(Dcase2017(), tmp_path, "miniature")
    for line in (tmp_path / "dcase2017/files.tsv").read_text().splitlines():
        name = line.split("\t")[0]
        assert (tmp_path / "dcase2017" / name).read_bytes() == (tagging_data / "dcase2017" / name).read_bytes(), name
    recorded = recordings.read(tmp_path / "dcase2017")
    assert recorded.counts == {"training": 104, "validation": 15, "test": 34}
    assert {clip.length for clip in recorded.splits["training"]} == {16_000, 35_200}
    for name in ("training", "test"):
        assert recordings.truth(recorded.splits[name], 17).any(0).all()
