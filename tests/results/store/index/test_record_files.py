"""Which runs a folder of records holds, and which names in it are none of a record."""

from __future__ import annotations

import os

import pytest

from optathlon.results.store.index.record_files import listed, look

RUN, OTHER = "ab" + "0" * 14, "ab" + "f" * 14


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "ab"
    folder.mkdir()
    for run in (RUN, OTHER):
        (folder / f"{run}.json").write_text("{}")
    return folder


def test_a_folder_of_records_only_has_no_strange_names(folder):
    runs, strange = listed(folder)
    assert sorted(runs) == [RUN, OTHER]
    assert strange == []


@pytest.mark.parametrize(
    "name",
    [
        "notes.txt",
        f"{RUN}.json.bak",
        f"{RUN}",
        "cd" + "0" * 14 + ".json",
        "AB" + "0" * 14 + ".json",
        "ab" + "0" * 13 + ".json",
        "ab" + "0" * 15 + ".json",
        "ab" + "0" * 13 + "g.json",
        f"{RUN}.json\n",
        f"{RUN}.json\nab" + "1" * 14 + ".json",
    ],
)
def test_every_other_name_is_strange_and_changes_nothing_else(folder, name):
    (folder / name).write_text("{}")
    assert listed(folder) == ([RUN, OTHER], [folder / name])


def test_hidden_files_are_neither(folder):
    (folder / f".{RUN}.json.0123456789abcdef").write_text("{}")
    runs, strange = listed(folder)
    assert sorted(runs) == [RUN, OTHER]
    assert strange == []


@pytest.mark.parametrize("name", ["a", "abc"])
def test_in_a_folder_of_another_name_nothing_is_a_record(tmp_path, name):
    folder = tmp_path / name
    folder.mkdir()
    (folder / f"{RUN}.json").write_text("{}")
    assert listed(folder) == ([], [folder / f"{RUN}.json"])


def test_stamps_are_size_and_time_of_what_a_name_leads_to(folder):
    (folder / f"{RUN}.json").unlink()
    (folder / f"{RUN}.json").symlink_to("nowhere")
    os.utime(folder / f"{OTHER}.json", ns=(5, 7))
    assert look(folder, None).stamps == {RUN: None, OTHER: (2, 7)}
    assert look(folder, {OTHER}).stamps == {OTHER: (2, 7)}


def test_of_no_folder_there_is_nothing(tmp_path):
    assert look(tmp_path / "ab", None) == ({}, [], 0)
