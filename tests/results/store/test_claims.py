"""A run belongs to the one process that created its newest attempt."""

from __future__ import annotations

import itertools
import os

import msgspec
import pytest

from optathlon.results import Store, StoreError, this_process
from optathlon.results.record import Ended
from optathlon.results.store.claims import LEASE
from tests.results.make import record, run_id

RUN = run_id("a run")
changed = msgspec.structs.replace


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def elsewhere(host="node-1", **fields):
    """An owner that this process cannot see."""
    return changed(this_process(), host=host, **fields)


def dead():
    return changed(this_process(), started="1")


def fail(store, attempt, **fields):
    store.end(Ended(run=RUN, number=attempt.number, kind="failed", reason="no memory", **fields))


def silent_for(store, attempt, seconds):
    path = store.work(RUN) / f"attempt-{attempt.number:04d}.json"
    at = path.stat().st_mtime - seconds
    os.utime(path, (at, at))


def test_the_first_claim_is_attempt_one_and_says_who(store):
    owner = this_process("job-1")
    attempt = store.claim(RUN, owner)
    assert (attempt.run, attempt.number, changed(attempt.owner, store="")) == (RUN, 1, owner)
    assert store.attempts(RUN) == [attempt]


def test_a_living_owner_keeps_its_run(store):
    store.claim(RUN, this_process())
    assert store.claim(RUN, elsewhere()) is None
    assert store.claim(RUN, this_process()) is None


def test_a_finished_run_is_not_claimed(store):
    store.commit(done := record())
    assert store.claim(done.id, this_process()) is None
    assert store.attempts(done.id) == []


@pytest.mark.parametrize("kind", ["stopped", "fenced", "failed"])
def test_an_ended_attempt_frees_its_run(store, kind):
    first = store.claim(RUN, elsewhere())
    store.end(Ended(run=RUN, number=1, kind=kind))
    assert store.claim(RUN, this_process()).number == 2
    assert store.fenced(first)


def test_a_provably_dead_owner_frees_its_run_at_once(store):
    store.claim(RUN, dead())
    assert store.claim(RUN, this_process()).number == 2


def test_an_earlier_restart_of_the_same_job_frees_its_run(store):
    store.claim(RUN, elsewhere(job="slurm-7", restart=0))
    assert store.claim(RUN, elsewhere("node-2", job="slurm-7", restart=1)).number == 2


@pytest.mark.parametrize(
    "mate",
    [
        {"job": "slurm-7", "restart": 1},
        {"job": "slurm-7", "restart": 0},
        {"job": "slurm-8", "restart": 2},
        {"job": None, "restart": 2},
        {"job": "slurm-7", "restart": 2, "user": "somebody-else"},
    ],
)
def test_slots_of_one_job_and_other_jobs_do_not_take_from_each_other(store, mate):
    store.claim(RUN, elsewhere(job="slurm-7", restart=1))
    assert store.claim(RUN, elsewhere("node-2", **mate)) is None


def test_owners_outside_any_job_are_no_restarts_of_each_other(store):
    store.claim(RUN, elsewhere(job=None, restart=0))
    assert store.claim(RUN, elsewhere("node-2", job=None, restart=5)) is None


def test_fifteen_minutes_of_silence_free_a_run(store):
    attempt = store.claim(RUN, elsewhere())
    silent_for(store, attempt, 12 * 60)  # not 14.9: the test itself may take some of it
    assert store.claim(RUN, this_process()) is None
    silent_for(store, attempt, 15.1 * 60)
    assert store.claim(RUN, this_process()).number == 2


def test_a_heartbeat_keeps_a_run(store):
    attempt = store.claim(RUN, elsewhere())
    silent_for(store, attempt, 3600)
    store.beat(attempt)
    assert store.claim(RUN, this_process()) is None


@pytest.mark.parametrize("skew", [-7200, 7200])
def test_silence_is_judged_by_the_file_servers_clock_not_this_machines(store, monkeypatch, skew):
    import time

    now = time.time
    attempt = store.claim(RUN, elsewhere())
    silent_for(store, attempt, 600)
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    assert store.claim(RUN, this_process()) is None
    silent_for(store, attempt, 1000)
    assert store.claim(RUN, this_process()).number == 2


@pytest.mark.parametrize("behind", [11 * 60, 14 * 60, 16 * 60, 17 * 60])
def test_a_clock_that_is_as_far_behind_as_the_heartbeat_is_old_does_not_make_it_fresh(store, monkeypatch, behind):
    import time

    now = time.time
    attempt = store.claim(RUN, elsewhere())
    silent_for(store, attempt, 960)
    monkeypatch.setattr(time, "time", lambda: now() - behind)
    assert store.states([RUN])[RUN].kind == "stopped"
    assert store.claim(RUN, this_process()).number == 2


@pytest.mark.parametrize("skew", [-6 * 3600, 6 * 3600])
def test_a_clock_that_is_set_while_a_process_works_is_seen_at_once(store, monkeypatch, skew):
    import time

    now = time.time
    attempt = store.claim(RUN, elsewhere())
    silent_for(store, attempt, 400)
    assert store.states([RUN])[RUN].kind == "running"
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    assert store.states([RUN])[RUN].kind == "running"
    assert store.claim(RUN, this_process()) is None


@pytest.mark.parametrize("skew", [-6 * 3600, 6 * 3600])
def test_states_and_forget_judge_by_the_same_clock(store, monkeypatch, skew):
    import time

    now = time.time
    attempt = store.claim(RUN, elsewhere())
    monkeypatch.setattr(time, "time", lambda: now() + skew)
    assert store.states([RUN])[RUN].kind == "running"
    assert store.states([RUN])[RUN].silence < LEASE
    assert store.liveness.clock_ahead() == pytest.approx(skew, abs=600)
    with pytest.raises(StoreError, match="is running"):
        store.forget(RUN)
    silent_for(store, attempt, 1000)
    assert store.states([RUN])[RUN].kind == "stopped"
    store.forget(RUN)


def test_a_process_that_is_seen_here_keeps_its_run_however_long_it_was_silent(store):
    """The machine was suspended, or the process stopped: it goes on where it is."""
    attempt = store.claim(RUN, this_process())
    silent_for(store, attempt, 24 * 3600)
    assert store.claim(RUN, elsewhere("node-1")) is None
    assert store.states([RUN])[RUN].kind == "running"


def test_a_heartbeat_from_the_future_holds_a_run_no_longer_than_its_lease(store):
    attempt = store.claim(RUN, elsewhere())
    silent_for(store, attempt, -24 * 3600)
    assert store.states([RUN])[RUN].kind == "stopped"
    assert store.claim(RUN, this_process()).number == 2


def test_a_clock_that_is_right_is_not_named(store):
    silent_for(store, store.claim(RUN, elsewhere()), 600)
    store.states([RUN])
    assert store.liveness.clock_ahead() == 0


def test_looking_at_the_clock_leaves_no_file(store):
    silent_for(store, store.claim(RUN, elsewhere()), 600)
    before = sorted(os.listdir(store.work(RUN)))
    store.claim(RUN, this_process())
    assert sorted(os.listdir(store.work(RUN))) == before


def test_an_unreadable_attempt_holds_its_run_only_for_its_lease(store):
    attempt = store.claim(RUN, this_process())
    path = store.work(RUN) / "attempt-0001.json"
    path.write_bytes(b'{"run"')
    assert store.claim(RUN, this_process()) is None
    silent_for(store, attempt, 1000)
    assert store.claim(RUN, this_process()).number == 2


def test_a_newer_attempt_fences_the_older(store):
    old = store.claim(RUN, dead())
    assert not store.fenced(old)
    new = store.claim(RUN, this_process())
    assert store.fenced(old)
    assert not store.fenced(new)


def test_the_first_record_and_the_first_end_win(store):
    first, late = record(0.5), record(0.6)
    assert store.commit(first)
    assert not store.commit(late)
    assert store.record(first.id) == first
    attempt = store.claim(RUN, this_process())
    assert store.end(Ended(run=RUN, number=attempt.number, kind="stopped", reason="first"))
    assert not store.end(Ended(run=RUN, number=attempt.number, kind="failed", reason="late"))
    assert store.endings(RUN)[1].reason == "first"


def start(store, course):
    """One attempt: it dies, fails, moves and dies, moves and fails, is stopped, or is fenced."""
    attempt = store.claim(RUN, dead())
    if attempt is None:
        return False
    if course.startswith("moves"):
        store.note_moved(attempt)
        store.note_moved(attempt)
    if course.endswith("fails"):
        fail(store, attempt)
    if course in ("stopped", "fenced"):
        store.end(Ended(run=RUN, number=attempt.number, kind=course))
    return True


@pytest.mark.parametrize("starts", list(itertools.product(["dies", "fails"], repeat=3)))
def test_three_starts_on_end_that_moved_nothing_make_a_run_failed(store, starts):
    assert all(start(store, what) for what in starts)
    assert store.states([RUN])[RUN].kind == "failed"
    assert not start(store, "dies")
    assert len(store.attempts(RUN)) == 3


@pytest.mark.parametrize("moved", ["moves and dies", "moves and fails"])
def test_a_start_that_moved_the_checkpoint_is_free(store, moved):
    assert all(start(store, what) for what in ["fails", "dies", moved, "fails", "dies"])
    assert store.states([RUN])[RUN].kind == "stopped"
    assert start(store, "fails")
    assert not start(store, "fails")


def test_an_end_that_says_moved_is_enough(store):
    for _ in range(5):
        fail(store, store.claim(RUN, this_process()), moved=True)
    assert store.claim(RUN, this_process())


def test_an_end_written_by_another_knows_what_the_attempt_had_noted(store):
    assert start(store, "moves and dies")
    store.end(Ended(run=RUN, number=1, kind="failed"))
    assert store.endings(RUN)[1].moved


def test_stopped_and_fenced_starts_neither_count_nor_forgive(store):
    assert all(start(store, what) for what in ["stopped"] * 4 + ["fails", "fenced", "dies", "stopped"])
    assert store.states([RUN])[RUN].kind == "stopped"
    assert start(store, "fails")
    assert not start(store, "stopped")


def test_a_failed_run_can_be_tried_again_by_hand(store):
    for _ in range(3):
        start(store, "fails")
    store.retry(RUN)
    assert store.states([RUN])[RUN].kind == "stopped"
    assert [start(store, "fails") for _ in range(4)] == [True, True, True, False]


@pytest.mark.parametrize(
    "wrong", ["", "../../etc/passwd", "ABCDEF0123456789", "0123456789abcde", "0123456789abcdef\n", 5]
)
def test_nothing_but_a_run_id_names_a_run(store, wrong):
    for ask in (store.work, store.record, lambda i: store.claim(i, this_process()), store.forget):
        with pytest.raises((StoreError, TypeError)):
            ask(wrong)
    assert not store.root.exists()
