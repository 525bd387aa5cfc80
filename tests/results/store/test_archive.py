"""Records are immutable and the truth; the index is only quick; nothing unreadable is dropped in silence."""

from __future__ import annotations

import gc
import json
import math
import multiprocessing
import os
import threading

import msgspec
import pytest

from optathlon.results import Store, StoreError
from optathlon.results.record import Record
from optathlon.results.store import archive as archive_module
from optathlon.results.store import schema_versions as schema_module
from tests.results.make import record, setting
from tests.results.store.written_records import damage, fresh, light, path_of


def test_a_record_comes_back_as_it_was(store, three):
    assert [store.record(r.id) for r in three] == three
    assert store.records(curves=True) == three
    assert store.finished() == {r.id for r in three}


def test_boards_get_records_without_their_bulk(store, three):
    assert store.records() == [light(r) for r in three]


def test_only_what_is_asked_for_and_exists_is_returned(store, three):
    assert [r.id for r in store.records([three[1].id, "0" * 16])] == [three[1].id]
    assert [r.id for r in store.records((r.id for r in three[:2]), curves=True)] == [r.id for r in three[:2]]


def test_reading_leaves_the_garbage_collector_as_it_was(store, three):
    store.compact()
    for before in (True, False):
        gc.enable() if before else gc.disable()
        fresh(store).records()
        assert gc.isenabled() == before
    gc.enable()


def test_a_run_forgotten_and_run_again_shows_its_new_record(store, three):
    again = msgspec.structs.replace(three[0], updates=999)
    written_long_ago(store)
    reader = fresh(store)
    reader.records()
    store.compact()
    store.forget(three[0].id)
    assert [r.id for r in reader.records()] == [r.id for r in three[1:]]
    store.commit(again)
    for each in (reader, store, fresh(store)):
        assert {r.id: r.updates for r in each.records()}[again.id] == 999
    store.compact()
    assert {r.id: r.updates for r in fresh(store).records()}[again.id] == 999


def test_a_reader_that_was_not_looking_sees_the_new_record_too(store, three):
    written_long_ago(store)
    reader = fresh(store)
    reader.records()
    store.forget(three[0].id)
    store.commit(msgspec.structs.replace(three[0], updates=999))
    assert {r.id: r.updates for r in reader.records()}[three[0].id] == 999


def test_fields_of_a_newer_minor_version_survive_in_the_record_and_in_the_trash(store, three):
    path = path_of(store, three[0])
    values = json.loads(path.read_bytes()) | {"humidity": 0.4}
    path.write_text(json.dumps(values))
    assert fresh(store).records() == [light(r) for r in three]
    store.compact()
    assert fresh(store).records() == [light(r) for r in three]
    assert json.loads((store.forget(three[0].id) / path.name).read_text()) == values


def written_long_ago(store):
    """Let all records be of a minute ago: a file system's clock ticks slowly, and tests change records at once."""
    for path in (store.root / "records").glob("*/*.json"):
        os.utime(path, (path.stat().st_mtime - 60,) * 2)


def compact_long_ago(store):
    written_long_ago(store)
    store.compact()


@pytest.mark.parametrize(
    ("how", "reason"),
    [
        ("truncated", "truncated or not JSON"),
        ("empty", "truncated or not JSON"),
        ("binary", "truncated or not JSON"),
        ("not a number", "truncated or not JSON"),
        ("nested too deeply", "is not a record: maximum recursion depth"),
        ("foreign", "is not a record"),
        ("no schema", "is not a record"),
        ("another type", "is not a record"),
        ("newer", "schema 99 is newer"),
        ("newer and other", "schema 99 is newer"),
        ("older", "schema 0 is too old"),
        ("copied", "under another name"),
        ("no optimizer", "setting: Object missing required field `optimizer`"),
        ("a list for a word", "problem: Expected `str`, got `array`"),
        ("no protocol", "problem: Object missing required field"),
        ("beyond 64 bits", "Expected `int` <= 9223372036854775807"),
        ("a seed beyond", "Expected `int` >= -9223372036854775808"),
        ("a divergence beyond", "Expected `int` <= 9223372036854775807"),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_what_cannot_be_used_is_named_with_the_remedy_and_hides_nothing_else(store, three, how, reason, indexed):
    if indexed:
        compact_long_ago(store)
    damage(path_of(store, three[1]), how)
    for curves in (False, True):
        reader = fresh(store)
        assert [r.id for r in reader.records(curves=curves)] == [three[0].id, three[2].id]
        (problem,) = reader.problems
        assert str(path_of(store, three[1])) in problem
        assert reason in problem
        assert f"forget {three[1].id}" in problem
        reader.records(curves=curves)
        assert len(reader.problems) == 1
    with pytest.raises(StoreError, match=reason):
        store.record(three[1].id)
    assert store.compact() == 2


@pytest.mark.parametrize("indexed", [False, True])
@pytest.mark.parametrize("how", ["folder", "link to nothing"])
def test_what_is_in_the_place_of_a_record_is_named_too(store, three, how, indexed):
    if indexed:
        compact_long_ago(store)
    (path := path_of(store, three[1])).unlink()
    path.mkdir() if how == "folder" else path.symlink_to("nowhere")
    reader = fresh(store)
    assert [r.id for r in reader.records()] == [three[0].id, three[2].id]
    (problem,) = reader.problems
    assert str(path) in problem


def test_where_asking_takes_long_threads_ask_and_the_records_are_the_same(store, three, monkeypatch):
    compact_long_ago(store)
    monkeypatch.setattr(archive_module, "SAMPLE", 1)
    monkeypatch.setattr(archive_module, "SLOW_OPEN", -1.0)
    assert fresh(store).records() == [light(r) for r in three]
    damage(path_of(store, three[1]), "truncated")
    assert [r.id for r in fresh(store).records()] == [three[0].id, three[2].id]


@pytest.mark.parametrize(("older", "updates"), [(3600, 101), (0, 99)], ids=["of the same size", "of the same date"])
def test_a_record_replaced_by_one_with_an_older_date_is_seen_by_all_and_by_the_next_index(
    store, three, older, updates, monkeypatch
):
    compact_long_ago(store)
    reader = fresh(store)
    reader.records()
    path = path_of(store, three[0])
    changed = path.stat().st_mtime - older
    path.write_bytes(path.read_bytes().replace(b'"updates":100', f'"updates":{updates}'.encode()))
    os.utime(path, (changed, changed))  # as rsync -a, tar and cp -p leave it
    for each in (reader, fresh(store)):
        assert {r.id: r.updates for r in each.records()}[three[0].id] == updates
    store.compact()
    monkeypatch.setattr(archive_module, "read", pytest.fail)  # the index has it
    assert {r.id: r.updates for r in fresh(store).records()}[three[0].id] == updates


def test_files_that_are_no_records_are_named(store, three):
    shard = path_of(store, three[0]).parent
    strange = ["notes.txt", f"{three[0].id} (copy).json", f"{three[0].id}.json.bak", "zz.json"]
    for name in strange:
        (shard / name).write_bytes(path_of(store, three[0]).read_bytes())
    for shard_of_none in ("00", three[0].id[0]):
        elsewhere = store.root / "records" / shard_of_none
        elsewhere.mkdir()
        (elsewhere / f"{three[0].id}.json").write_bytes(b"{}")
    (shard / ".half-written").write_bytes(b"{")
    assert store.records() == [light(r) for r in three]
    assert len(store.problems) == len(strange) + 2
    assert all("is not a record's file" in p for p in store.problems)


def test_an_older_schema_is_upgraded_step_by_step(store, three, monkeypatch):
    monkeypatch.setitem(
        schema_module.UPGRADES,
        Record,
        {
            -1: lambda values: values | {"steps": values.pop("iterations")},
            0: lambda values: values | {"updates": values.pop("steps")},
        },
    )
    path = path_of(store, three[0])
    values = json.loads(path.read_bytes())
    values["iterations"] = values.pop("updates")
    path.write_text(json.dumps(values | {"schema": -1}))
    assert store.record(three[0].id) == three[0]
    store.compact()
    assert fresh(store).records() == [light(r) for r in three]


def test_slow_file_systems_are_read_by_threads(store, monkeypatch):
    for number in range(40):
        store.commit(record(0.1, seed=number))
    expected = store.records()
    several = threading.Event()  # set once so many threads read what is left after the sample
    readers = set()
    read = archive_module.read

    def slow_read(path):
        readers.add(threading.get_ident())
        if len(readers) > 5:
            several.set()
        if threading.current_thread() is not threading.main_thread():
            assert several.wait(timeout=300)
        return read(path)

    monkeypatch.setattr(archive_module, "SAMPLE", 5)
    monkeypatch.setattr(archive_module, "SLOW_OPEN", -1.0)
    monkeypatch.setattr(archive_module, "read", slow_read)
    assert fresh(store).records() == expected
    assert len(readers) > 5
    monkeypatch.setattr(archive_module, "SLOW_OPEN", math.inf)
    readers.clear()
    assert fresh(store).records() == expected
    assert len(readers) == 1


def _commit_many(root, first, looked):
    """150 records, of which every thirtieth waits until the reader has looked once more."""
    store = Store(root)
    for number in range(first, first + 150):
        if number % 30 == 0:
            looked.acquire()
        store.commit(record(0.5, seed=number, of_setting=setting("sgd", lr=0.1)))


def test_records_written_while_read_are_there_whole_or_not_at_all(store):
    context = multiprocessing.get_context("fork")
    looks = [context.Semaphore(1) for _ in range(2)]
    writers = [context.Process(target=_commit_many, args=(store.root, 900 * n, look)) for n, look in enumerate(looks)]
    for writer in writers:
        writer.start()
    before, rounds = 0, 0
    while any(w.is_alive() for w in writers):
        reader = fresh(store)
        count = len(reader.records())
        assert reader.problems == []
        assert count >= before
        before, rounds = count, rounds + 1
        reader.compact()
        for look in looks:
            look.release()
    assert rounds >= 4
    assert len(fresh(store).records()) == 300


def test_a_record_that_vanishes_between_listing_and_reading_is_just_not_there(store, three, monkeypatch):
    listed = store._listed()
    path_of(store, three[0]).unlink()
    monkeypatch.setattr(store, "_listed", lambda: listed)
    assert [r.id for r in store.records()] == [r.id for r in three[1:]]
    assert store.problems == []


def test_a_store_may_be_moved(store, three, tmp_path):
    store.compact()
    expected = store.records()
    os.rename(store.root, tmp_path / "moved")
    assert Store(tmp_path / "moved").records() == expected
