"""Which rows of a part are current: only those whose file is listed and has the size and the time that were noted."""

from __future__ import annotations

import os

import pytest

from optathlon.results import Store
from optathlon.results.store.index.current_rows import CurrentRows
from optathlon.results.store.index.record_files import look
from tests.results.make import record


@pytest.fixture
def store(tmp_path):
    store = Store(tmp_path / "store")
    for seed in range(4):
        store.commit(record(0.1, seed=seed))
    store.compact()
    return store


def part_of(store):
    (part,) = store._index.parts(brief=True)
    return part


def paths(store):
    return sorted((store.root / "records").glob("*/*.json"))


def current(store, wanted=None):
    rows = CurrentRows(part_of(store), wanted)
    for folder in (store.root / "records").iterdir():
        look(folder, wanted, [rows])
    return rows


def test_all_rows_are_current_while_no_file_changes(store):
    rows = current(store)
    assert sorted(rows) == [path.stem for path in paths(store)]
    assert len(rows) == 4
    assert all(rows.part.ids[rows.row(path.stem)] == path.stem for path in paths(store))


@pytest.mark.parametrize("shift", [-1, 1], ids=["older", "newer"])
def test_a_nanosecond_more_or_less_is_another_time(store, shift):
    changed, *others = paths(store)
    status = changed.stat()
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns + shift))
    assert sorted(current(store)) == [path.stem for path in others]


def test_another_size_at_the_same_time_is_another_file(store):
    changed, *others = paths(store)
    status = changed.stat()
    changed.write_bytes(changed.read_bytes() + b"\n")
    os.utime(changed, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert sorted(current(store)) == [path.stem for path in others]


def test_a_file_that_is_gone_or_leads_nowhere_is_not_current(store):
    gone, linked, *others = paths(store)
    gone.unlink()
    linked.unlink()
    linked.symlink_to("nowhere")
    rows = current(store)
    assert sorted(rows) == [path.stem for path in others]
    assert rows.row(gone.stem) is None
    assert gone.stem not in rows


def test_only_the_wanted_files_are_looked_at(store, monkeypatch):
    first, second, *_ = paths(store)
    looked_at = []
    stat = os.stat

    def noted(path, *args, **kwargs):
        if str(path).endswith(".json"):
            looked_at.append(str(path))
        return stat(path, *args, **kwargs)

    monkeypatch.setattr(os, "stat", noted)
    rows = current(store, [second.stem, first.stem, "0" * 16])
    assert sorted(rows) == [first.stem, second.stem]
    assert sorted(looked_at) == [first.name, second.name]
    assert rows.wanted_count == 2


def test_of_two_parts_with_the_same_record_only_the_first_has_it(store):
    rows, again = (CurrentRows(part_of(store), None) for _ in range(2))
    for folder in (store.root / "records").iterdir():
        assert look(folder, None, [rows, again]).stamps == {}
    assert (len(rows), len(again)) == (4, 0)


def test_a_folder_of_another_name_confirms_nothing(store):
    path = paths(store)[0]
    folder = path.parent
    renamed = folder.rename(folder.with_name(f"{folder.name}{path.stem[2]}"))
    shard = look(renamed, None, [rows := CurrentRows(part_of(store), None)])
    assert len(rows) == 0
    assert renamed / path.name in shard.strange
