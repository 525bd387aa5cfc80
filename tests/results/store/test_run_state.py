"""States are derived from files, and asking for them writes nothing."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from optathlon.results import Store, StoreError, this_process
from optathlon.results.record import Ended
from tests.results.make import DIVERGED, record, run_id, setting

RUN = run_id("a run")
changed = msgspec.structs.replace


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def state(store, run=RUN):
    return store.states([run])[run]


def snapshot(root):
    return {
        os.path.join(folder, name): os.stat(os.path.join(folder, name)).st_mtime_ns
        for folder, folders, files in os.walk(root)
        for name in (*folders, *files)
    }


def test_each_state_is_read_off_the_files(store):
    store.commit(finished := record(0.5))
    store.commit(diverged := record(DIVERGED, seed=1))
    names = ["waiting", "running", "stopped", "failed", "died", "silent"]
    ids = {name: run_id(name) for name in names}
    alive, dead = this_process(), changed(this_process(), started="1")
    store.claim(ids["running"], alive)
    store.claim(ids["stopped"], alive)
    store.end(Ended(run=ids["stopped"], number=1, kind="stopped", reason="time is short"))
    for number in (1, 2, 3):
        store.claim(ids["failed"], alive)
        store.end(Ended(run=ids["failed"], number=number, kind="failed", reason=f"no memory {number}"))
    store.claim(ids["died"], dead)
    store.claim(ids["silent"], changed(alive, host="node-1"))
    os.utime(store.work(ids["silent"]) / "attempt-0001.json", (0, 0))

    before = snapshot(store.root)
    states = store.states([*ids.values(), finished.id, diverged.id])
    assert snapshot(store.root) == before

    kinds = {name: states[i].kind for name, i in ids.items()}
    assert kinds == {n: n for n in names[:4]} | {"died": "stopped", "silent": "stopped"}
    assert states[finished.id].kind == "finished"
    assert (states[diverged.id].kind, states[diverged.id].reason) == ("diverged", "at update 7")
    assert msgspec.structs.replace(states[ids["running"]].owner, store="") == alive
    assert states[ids["running"]].silence < 60
    assert states[ids["stopped"]].reason == "time is short"
    assert (states[ids["failed"]].reason, states[ids["failed"]].attempt) == ("no memory 3", 3)
    assert "without saying why" in states[ids["died"]].reason
    assert {n: states[i].failure for n, i in ids.items() if states[i].failure} == {
        "failed": "unknown", "died": "lost", "silent": "lost",
    }  # fmt: skip


def test_outcomes_are_the_same_from_the_index_as_from_the_records(store):
    records = [
        record(0.5, provenance={"attempt": 3}),
        record(0.5, seed=1, provenance={"attempt": "three"}),
        record(DIVERGED, seed=2),
    ]
    for each in records:
        store.commit(each)
    ids = [each.id for each in records]
    of_files = store.states(ids)
    store.compact()
    assert Store(store.root).states(ids) == of_files
    assert [of_files[i].attempt for i in ids] == [3, 0, records[2].provenance.get("attempt", 0)]


def test_what_an_attempt_failed_by_is_told_until_the_next_begins(store):
    store.claim(RUN, this_process())
    store.end(
        Ended(run=RUN, number=1, kind="failed", reason="no memory", failure="memory", ended="2025-01-31T12:00:00Z")
    )
    assert (state(store).kind, state(store).failure, state(store).ended) == (
        "stopped",
        "memory",
        "2025-01-31T12:00:00Z",
    )
    store.claim(RUN, this_process())
    assert (state(store).kind, state(store).failure) == ("running", "")
    store.end(Ended(run=RUN, number=2, kind="stopped", reason="asked to stop", failure="device"))
    assert (state(store).kind, state(store).failure) == ("stopped", "")


def test_only_failures_that_moved_nothing_add_up(store):
    """Asked to stop or preempted, as often as it may be, no run fails; neither does one that gets on."""
    for number in range(1, 8):
        store.claim(RUN, this_process())
        store.end(Ended(run=RUN, number=number, kind="stopped"))
    assert (state(store).kind, state(store).barren) == ("stopped", 0)
    for _ in range(5):
        attempt = store.claim(RUN, changed(this_process(), started="1"))
        store.note_moved(attempt)
    assert (state(store).kind, state(store).barren) == ("stopped", 0)
    for _ in range(2):
        store.claim(RUN, changed(this_process(), started="1"))
    store.claim(RUN, this_process())
    store.end(Ended(run=RUN, number=15, kind="stopped"))
    assert (state(store).kind, state(store).barren) == ("stopped", 2)
    store.claim(RUN, this_process())
    store.end(Ended(run=RUN, number=16, kind="failed"))
    assert (state(store).kind, state(store).barren) == ("failed", 3)
    assert store.claim(RUN, this_process()) is None
    store.retry(RUN)
    assert (state(store).kind, state(store).barren) == ("stopped", 0)


def test_whether_a_run_ever_moved_is_remembered(store):
    assert not store.moved(RUN)
    first = store.claim(RUN, changed(this_process(), started="1"))
    assert not store.moved(RUN)
    store.note_moved(first)
    store.claim(RUN, this_process())
    assert store.moved(RUN)


def test_the_latest_events_are_the_end_of_one_attempts(store):
    attempt = store.claim(RUN, this_process())
    assert store.latest(RUN, 1) == []
    log = store.event_log(attempt)
    for update in range(2000):
        log.append({"update": update, "time": update / 10})
    found = store.latest(RUN, 1)
    assert found[-1] == {"update": 1999, "time": 199.9}
    assert [e["update"] for e in found] == list(range(2000 - len(found), 2000))
    assert 100 < len(found) < 1000
    assert store.latest(RUN, 2) == []


def test_a_store_that_is_not_there_is_empty_and_stays_so(store):
    assert state(store).kind == "waiting"
    assert store.finished() == set()
    assert store.records() == store.records([RUN]) == []
    assert store.record(RUN) is None
    assert store.attempts(RUN) == store.events(RUN) == []
    assert store.plan_names() == store.submissions("a") == []
    assert store.compact() == store.clean() == 0
    assert not store.root.exists()


def test_the_states_of_ten_thousand_runs_take_little(store, monkeypatch):
    """A few looks into folders and at the runs that have begun, none at those that wait."""
    ids = [run_id(number) for number in range(10_000)]
    for number in ids[:20]:
        store.claim(number, this_process())
    store.commit(record())
    calls = []
    with monkeypatch.context() as patched:
        for name in ("open", "stat", "listdir"):
            genuine = getattr(os, name)
            patched.setattr(os, name, lambda *a, genuine=genuine, **k: (calls.append(a), genuine(*a, **k))[1])
        states = store.states(ids)
    assert len(calls) < 200
    assert sum(s.kind == "running" for s in states.values()) == 20


def test_a_run_in_a_damaged_record_is_failed_not_waiting(store):
    store.commit(r := record())
    store._record(r.id).write_bytes(b"{")
    assert state(store, r.id).kind == "failed"
    assert "cannot be read" in state(store, r.id).reason


def test_forgetting_makes_a_run_wait_again_and_keeps_everything_in_the_trash(store):
    attempt = store.claim((r := record()).id, this_process())
    store.commit(r)
    store.end(Ended(run=r.id, number=1, kind="finished"))
    raw = store._record(r.id).read_bytes()
    folder = store.forget(r.id)
    assert state(store, r.id).kind == "waiting"
    assert store.records() == []
    assert store.fenced(attempt)
    assert (folder / f"{r.id}.json").read_bytes() == raw
    assert (folder / "work/attempt-0001.json").exists()
    assert store.claim(r.id, this_process()).number == 1


def test_forgetting_again_keeps_both(store):
    for value in (0.1, 0.2):
        store.commit(record(value))
        store.forget(record().id)
    assert len(os.listdir(store.root / "trash")) == 2


def test_a_running_run_and_an_unknown_one_cannot_be_forgotten(store):
    store.claim(RUN, this_process())
    with pytest.raises(StoreError, match="running"):
        store.forget(RUN)
    with pytest.raises(StoreError, match="nothing of it"):
        store.forget(run_id("another"))


def test_clean_drops_checkpoints_and_logs_of_finished_runs_only(store):
    done, open_run, damaged = record(), RUN, record(of_setting=setting("adam"))
    for run in (done.id, open_run, damaged.id):
        attempt = store.claim(run, this_process())
        store.event_log(attempt).append({"update": 1})
        store.log(attempt).write_text("hello")
        for name in ("checkpoint-a.pt", "checkpoint-a.json", "best-3.pt", ".best-0001-3.pt.0a1b2c3d"):  # half-written
            (store.work(run) / name).write_bytes(b"12345")
    store.commit(done)
    store.commit(damaged)
    store._record(damaged.id).write_bytes(b"{")
    assert store.clean() == 5 * 5
    assert sorted(os.listdir(store.work(done.id))) == ["attempt-0001.json", "events-0001.jsonl"]
    for run in (open_run, damaged.id):
        assert len(os.listdir(store.work(run))) == 7


def test_clean_removes_what_killed_writers_left_anywhere_and_nothing_of_living_ones(store, monkeypatch):
    store.commit(record())
    store.claim(RUN, this_process())

    def killed(*_):
        raise KeyboardInterrupt

    for name in ("link", "replace"):
        monkeypatch.setattr(os, name, killed)
    monkeypatch.setattr(Path, "unlink", lambda *_, **__: None)  # nor did it get to tidying up
    for write in (
        store.compact,
        lambda: store.commit(record(seed=1)),
        lambda: store.note_moved(store.attempts(RUN)[0]),
    ):
        with pytest.raises(KeyboardInterrupt):
            write()
    monkeypatch.undo()
    left = [path for path in store.root.rglob(".*") if path.is_file()]
    assert len(left) == 3
    assert store.clean() == 0
    for path in left:
        os.utime(path, (0, 0))
    store.clean()
    assert [path for path in left if path.exists()] == []
    assert len(store.records()) == 1
