"""The index: parts that are added, merged and removed by any number of processes, and cost time at most when gone."""

from __future__ import annotations

import errno
import multiprocessing
import os
import shutil
from pathlib import Path

import msgspec
import pytest

from optathlon.results import Store
from optathlon.results.store.index import record_index
from tests.results.make import record, setting


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def commit(store, count, first=0):
    records = [record(0.1, seed=seed) for seed in range(first, first + count)]
    for each in records:
        store.commit(each)
    return records


def parts(store):
    return {path.name: path.read_bytes() for path in sorted((store.root / "index").iterdir())}


def fresh(store):
    return Store(store.root)


def test_new_records_are_appended_and_a_larger_part_stays_as_it_is(store):
    commit(store, 5)
    store.compact()
    large = parts(store)
    commit(store, 2, first=5)
    assert store.compact() == 7
    assert large.items() < parts(store).items()
    assert len(parts(store)) == 2


def test_there_are_never_more_parts_than_binary_digits_in_the_count(store):
    for number in range(20):
        commit(store, 1, first=number)
        assert store.compact() == number + 1
        assert len(parts(store)) == (number + 1).bit_count()
        assert len(fresh(store).records()) == number + 1


def test_more_parts_than_that_which_processes_wrote_at_once_become_one(store, tmp_path):
    for number in range(5):
        one = Store(tmp_path / str(number))
        commit(one, 1, first=number)
        one.compact()
        shutil.copytree(one.root, store.root, dirs_exist_ok=True)  # with the dates of the records
    assert len(parts(store)) == 5
    assert store.compact() == 5
    assert len(parts(store)) == 1
    assert len(fresh(store).records()) == 5


def test_compacting_again_writes_nothing(store):
    commit(store, 3)
    store.compact()
    before = parts(store)
    assert store.compact() == fresh(store).compact() == 3
    assert parts(store) == before


def test_a_part_that_is_mostly_out_of_date_is_written_anew_and_an_empty_one_removed(store):
    records = commit(store, 5)
    store.compact()
    (old,) = parts(store)
    for gone in records[:3]:
        store.forget(gone.id)
    assert store.compact() == 2
    assert old not in parts(store)
    assert fresh(store).records() == [r for r in fresh(store).records(curves=False) if r.seed >= 3]
    for gone in records[3:]:
        store.forget(gone.id)
    assert store.compact() == 0
    assert parts(store) == {}


def test_parts_that_hold_the_same_records_are_one_after_the_next_compaction(store):
    commit(store, 3)
    store.compact()
    (name,) = parts(store)
    shutil.copy(store.root / "index" / name, store.root / "index" / "part-copied-by-hand")
    assert len(fresh(store).records()) == 3
    assert store.compact() == 3
    assert len(parts(store)) == 1


def test_a_part_that_another_host_removes_while_it_is_read_is_made_up_for_by_the_records(store):
    commit(store, 3)
    store.compact()
    reader = fresh(store)
    brief = reader.records(brief=True)
    shutil.rmtree(store.root / "index")
    assert [r.id for r in reader.records()] == [r.id for r in brief]
    assert reader.records() == fresh(store).records()
    assert reader.problems == []


@pytest.mark.parametrize("error", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_store_that_cannot_be_written_is_read_as_any_other(store, error, monkeypatch):
    commit(store, 3)
    store.compact()
    commit(store, 3, first=3)

    def refused(*_):
        raise OSError(error, os.strerror(error))

    before = parts(store)
    monkeypatch.setattr(record_index, "replace", refused)
    with pytest.raises(OSError, match=os.strerror(error)):
        store.compact()
    assert parts(store) == before, "nothing is removed before what replaces it is there"
    assert len(fresh(store).records()) == 6


def test_where_parts_cannot_be_removed_they_do_no_harm(store, monkeypatch):
    commit(store, 1)
    store.compact()

    def refused(*_, **__):
        raise PermissionError

    monkeypatch.setattr(Path, "unlink", refused)
    commit(store, 1, first=1)
    assert store.compact() == fresh(store).compact() == 2
    assert len(fresh(store).records()) == 2
    monkeypatch.undo()
    assert store.compact() == 2
    assert len(parts(store)) == 1


@pytest.mark.parametrize(
    "odd",
    [
        {"provenance": {"big": 2**70}},
        {"provenance": {"attempt": "three"}},
        {"weights": None},
        {"weights": "é\0"},
        {"status": "diverged", "diverged_at": 7},
        {"status": "diverged", "diverged_at": 0},
        {"selection": None},
        {"scores": []},
    ],
    ids=str,
)
def test_what_comes_out_of_the_index_is_what_stands_in_the_record(store, odd):
    usual = record(0.5, seed=1)
    store.commit(usual)
    store.commit(msgspec.structs.replace(record(0.5, seed=2), **odd))
    expected = [store.records(), store.records(brief=True)]
    store.compact()
    reader = fresh(store)
    assert [reader.records(), reader.records(brief=True)] == expected
    assert reader.problems == []


def test_a_score_that_is_none_and_a_setting_that_shares_another_s_digest_come_back(store):
    first = record(0.1, seed=1)
    nothing = [msgspec.structs.replace(score, value=None) for score in first.scores]
    for each in (first, record(0.2, seed=2, digests=first.digests, setting=setting("adam"), scores=nothing)):
        store.commit(each)
    expected = store.records()
    store.compact()
    assert fresh(store).records() == expected


def test_a_record_in_the_index_is_made_once_and_only_if_it_is_asked_for(store):
    records = commit(store, 3)
    store.compact()
    reader = fresh(store)
    by_id = reader.records_by_id(brief=True)
    (part,) = reader._index.parts(brief=True)
    assert len(by_id) == 3
    assert part._made[True] == {}
    assert by_id[records[1].id] is by_id[records[1].id] is reader.records([records[1].id], brief=True)[0]
    assert len(part._made[True]) == 1
    assert "0" * 16 not in by_id


def test_scores_of_finished_runs_come_from_all_parts_and_only_where_no_record_would_tell_more(store):
    def finished(runs, settings, problem, metric="validation/accuracy", higher_is_better=True):
        scores = fresh(store).records_by_id().finished_scores(runs, settings, problem, metric, higher_is_better)
        return [score and score[0] for score in scores]

    records = commit(store, 5)
    store.compact()
    records += commit(store, 2, first=5)
    gone = msgspec.structs.replace(record(0.3, seed=8), status="diverged", diverged_at=3)
    store.commit(gone)
    store.compact()
    records += commit(store, 1, first=9)  # in no part
    assert len(parts(store)) == 2
    runs, settings = [r.id for r in records], [r.digests.setting for r in records]
    problem = records[0].digests.problem
    (score,) = {s.value for r in records for s in r.scores if s.name == "validation/accuracy"}
    assert finished(runs, settings, problem) == [score] * 7 + [None]
    assert finished([runs[6], gone.id, "0" * 16, runs[0]], [settings[0]] * 4, problem) == [score, None, None, score]
    assert finished(runs[:2], [settings[0], "0" * 64], problem) == [score, None]
    assert finished(runs[:1], settings[:1], "0" * 64) == [None]
    assert finished(runs[:1], settings[:1], problem, "validation/top5") == [None]
    assert finished(runs[:1], settings[:1], problem, higher_is_better=False) == [None]


def _commit_and_compact(root, first):
    store = Store(root)
    for number in range(first, first + 60):
        store.commit(record(0.5, seed=number, of_setting=setting("sgd", lr=0.1)))
        if number % 3 == 0:
            store.compact()


def test_several_processes_that_compact_at_once_lose_nothing(store):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_commit_and_compact, args=(store.root, 1000 * n)) for n in (1, 2, 3)]
    for writer in writers:
        writer.start()
    count = 0
    while any(writer.is_alive() for writer in writers):
        reader = fresh(store)
        assert len(reader.records()) >= count
        assert reader.problems == []
        count = len(reader.records_by_id(brief=True))
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    expected = {r.id: r for r in fresh(store).records(curves=True)}
    assert len(expected) == 180
    assert store.compact() == 180
    # What is in no part yet may become one more, beside as many as are not too many.
    assert len(parts(store)) <= (180).bit_length() + 1
    assert {r.id: r.seed for r in fresh(store).records()} == {i: r.seed for i, r in expected.items()}
    assert list(store.root.rglob(".*")) == []
