"""A data set's folder is of one edition, whole, and never overwritten with another."""

from __future__ import annotations

import hashlib
import os
import signal
import threading
import time
from contextlib import suppress

import pytest

from optathlon import tasks
from optathlon.tasks.data.dataset import Dataset, Source, build, check, edition, manifest, prepare, require
from optathlon.tasks.errors import DataError
from tests import file_deeds
from tests.miniatures import put_miniatures


class Words(Dataset):
    """Official is the one file words.txt with the content "official"."""

    name = "words"
    title = "Words"
    licence = "none"
    homepage = "nowhere"
    get = "words.txt directly in the folder"
    standins = {hashlib.sha256(b"digest-of-a-package").hexdigest()[:16]: 4}  # noqa: RUF012

    def verify(self, folder):
        try:
            text = (folder / "words.txt").read_text()
        except OSError:
            raise DataError(f"words: {folder / 'words.txt'} is missing") from None
        return "contents" if text == "official" else None

    def write_miniature(self, folder):
        (folder / "words.txt").write_text("tiny")

    def write_standin(self, folder):
        (folder / "words.txt").write_text("real")
        return [Source(package="p", version="1", digest="digest-of-a-package", licence="MIT")]


@pytest.fixture
def data(tmp_path):
    (tmp_path / "words").mkdir()
    return tmp_path


def put(data, text="official"):
    (data / "words" / "words.txt").write_text(text)


def test_official_files_are_official(data):
    put(data)
    assert prepare(Words(), data).edition == "official"
    assert require(Words(), data).verified == "contents"


def test_who_prepares_at_the_same_time_waits(data):
    put(data)
    turns, inside = [], threading.Event()

    class Slow(Words):
        def verify(self, folder):
            turns.append("in")
            inside.set()
            time.sleep(0.3)
            turns.append("out")
            return super().verify(folder)

    first, second = (threading.Thread(target=prepare, args=(Slow(), data)) for _ in range(2))
    first.start()
    assert inside.wait(300)
    second.start()
    first.join()
    second.join()
    assert turns == ["in", "out", "in", "out"]


def test_other_files_are_custom_and_named_by_their_contents(data, tmp_path_factory):
    put(data, "mine")
    mine = prepare(Words(), data).edition
    assert mine.startswith("custom-")
    put(data, "other")
    assert prepare(Words(), data).edition != mine
    again = tmp_path_factory.mktemp("again")
    (again / "words").mkdir()
    put(again, "mine")
    assert prepare(Words(), again).edition == mine


def test_where_nothing_lies_official_data_is_planned_for_but_not_trained_on(tmp_path):
    assert edition(tmp_path, "words") == "official"
    with pytest.raises(DataError, match=r"words: no prepared data in .*words.txt.*optathlon data prepare words"):
        require(Words(), tmp_path)


def test_a_miniature_and_a_standin_say_what_they_are(tmp_path):
    assert build(Words(), tmp_path / "a", "miniature").edition == "miniature-1"
    assert build(Words(), tmp_path / "b", "standin").edition == "standin-4"
    assert b"MIT" in (tmp_path / "b" / "words" / "SOURCES.json").read_bytes()


def test_a_data_set_that_was_built_has_its_name_on_disk(tmp_path, monkeypatch):
    deeds = file_deeds.noted(monkeypatch)
    build(Words(), tmp_path, "miniature")
    assert deeds[-2:] == ["rename words", f"sync {tmp_path.name}/"]


def test_a_standin_of_unknown_sources_is_named_by_them(tmp_path, monkeypatch):
    monkeypatch.setattr(Words, "standins", {})
    made = build(Words(), tmp_path, "standin").edition
    assert made == f"standin-{hashlib.sha256(b'digest-of-a-package').hexdigest()[:8]}"


def test_building_again_keeps_what_is_there(tmp_path):
    build(Words(), tmp_path, "miniature")
    before = (tmp_path / "words" / "manifest.json").stat().st_mtime_ns
    build(Words(), tmp_path, "miniature")
    assert (tmp_path / "words" / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("kind", ["miniature", "standin"])
def test_official_data_is_never_overwritten(data, kind):
    put(data)
    with pytest.raises(DataError, match="files without a manifest, which is left alone"):
        build(Words(), data, kind)
    prepare(Words(), data)
    with pytest.raises(DataError, match="edition official, which is left alone"):
        build(Words(), data, kind)
    assert (data / "words" / "words.txt").read_text() == "official"


def test_a_standin_is_not_promoted_by_preparing_it(tmp_path):
    build(Words(), tmp_path, "standin")
    with pytest.raises(DataError, match="holds edition standin-4"):
        prepare(Words(), tmp_path)


def test_what_a_killed_builder_left_goes_with_the_next_one(tmp_path, monkeypatch):
    read, write = os.pipe()

    def tell_and_wait(self, folder):
        os.write(write, folder.name.encode())
        time.sleep(600)

    builder = os.fork()
    if not builder:
        try:
            monkeypatch.setattr(Words, "write_standin", tell_and_wait)
            build(Words(), tmp_path, "standin")
        finally:
            os._exit(1)
    left = os.read(read, 100).decode()
    os.kill(builder, signal.SIGKILL)
    os.waitpid(builder, 0)
    assert (tmp_path / left).is_dir()
    build(Words(), tmp_path, "standin")
    assert [path.name for path in tmp_path.iterdir()] == ["words"]


def test_what_killed_writers_left_of_manifests_goes_with_the_next_one(data):
    put(data)
    for name in (".manifest.json.a1b2c3d4", ".files.tsv._0x9k2"):
        (data / "words" / name).write_text("half")
    prepare(Words(), data)
    assert sorted(path.name for path in (data / "words").iterdir()) == ["files.tsv", "manifest.json", "words.txt"]


def test_a_builder_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def fail(self, folder):
        (folder / "words.txt").write_text("half")
        raise DataError("words: no package")

    monkeypatch.setattr(Words, "write_standin", fail)
    with pytest.raises(DataError, match="no package"):
        build(Words(), tmp_path, "standin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (lambda f: f.unlink(), r"words.txt cannot be read"),
        (lambda f: f.write_text("offici"), r"words.txt has 6 bytes, expected 8"),
        (lambda f: f.write_text("officiaL"), r"words.txt has SHA-256 .*, expected"),
    ],
)
def test_damage_is_found_and_the_file_named(data, damage, expected):
    put(data)
    prepare(Words(), data)
    damage(data / "words" / "words.txt")
    for look in (require, check):
        with pytest.raises(DataError, match=expected):
            look(Words(), data)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5000, "gone"])
def test_a_damaged_list_of_files_is_named(name, data):
    put(data)
    prepare(Words(), data)
    (data / "words" / "files.tsv").write_text(f"{name}\t8\t0\n")
    with pytest.raises(DataError, match=r"words: .*words/.* cannot be read \(.*optathlon data prepare words"):
        require(Words(), data)


def test_what_systems_leave_beside_the_data_is_no_part_of_it(data):
    put(data, "mine\n")
    mine = prepare(Words(), data)
    for name in ("._words.txt", ".DS_Store", ".ipynb_checkpoints/words.txt", "__MACOSX/._words.txt", "Thumbs.db"):
        (data / "words" / name).parent.mkdir(exist_ok=True)
        (data / "words" / name).write_bytes(b"\0")
    assert prepare(Words(), data) == mine


def test_line_ends_and_marks_make_no_other_edition_but_words_do(data):
    put(data, "one\ntwo\n")
    mine = prepare(Words(), data).edition
    for same in (b"\xef\xbb\xbfone\r\ntwo\r\n", b"one\ntwo", b"one\ntwo\n\n"):
        (data / "words" / "words.txt").write_bytes(same)
        assert prepare(Words(), data).edition == mine
        check(Words(), data)
    put(data, "one\n\ntwo\n")
    assert prepare(Words(), data).edition != mine


def test_no_manifest_stands_beside_the_list_of_other_files_and_none_is_written_in_place(data, monkeypatch):
    put(data)
    prepare(Words(), data)
    put(data, "other")
    deeds = file_deeds.noted(monkeypatch)
    prepare(Words(), data)
    named = [deed for deed in deeds if not deed.startswith("sync")]
    assert named == ["remove manifest.json", "rename files.tsv", "rename manifest.json"]


@pytest.mark.parametrize("call", range(12))
def test_a_manifest_and_its_list_are_written_whole_or_not_at_all(data, monkeypatch, call):
    put(data)
    before = prepare(Words(), data)
    put(data, "other")
    calls = []

    def stop_at(name):
        real = getattr(os, name)

        def counted(*args, **named):
            calls.append(name)
            if len(calls) > call:
                raise KeyboardInterrupt
            return real(*args, **named)

        return counted

    with monkeypatch.context() as patch:
        for name in ("replace", "unlink", "fsync"):
            patch.setattr(os, name, stop_at(name))
        with suppress(KeyboardInterrupt):
            prepare(Words(), data)
    there = manifest(data, "words")
    assert there is None or there == before or there.edition.startswith("custom-")
    if there is not None and there != before:
        check(Words(), data)
    prepare(Words(), data)
    assert check(Words(), data).edition.startswith("custom-")


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"dataset": 3}', b'{"dataset": "\xf0"}', b'{"x":' + b"[" * 10**5])
def test_an_unreadable_manifest_is_named(data, text):
    (data / "words" / "manifest.json").write_bytes(text)
    with pytest.raises(DataError, match=r"manifest.json is unreadable .*optathlon data"):
        manifest(data, "words")


LARGE = ("mtat", "cars")
"""Data sets whose miniatures take more than a second."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * (name in LARGE)) for name in tasks.dataset_paths()]
)
def test_every_data_set_says_what_to_fetch_and_makes_a_miniature(name, tmp_path):
    dataset = tasks.dataset(name)
    assert all(getattr(dataset, word) for word in ("title", "licence", "homepage", "get"))
    put_miniatures(tmp_path, name)
    assert check(dataset, tmp_path).edition == f"miniature-{dataset.miniature_version}"
