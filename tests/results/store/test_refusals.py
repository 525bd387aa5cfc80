"""What workers refuse is written down where everybody finds it, and forgotten by the next launch."""

from __future__ import annotations

import os

import pytest

from optathlon.results import Store
from optathlon.results.store.refusals import Refusal, RefusalLog, refusals
from tests.results.make import run_id

FIRST, SECOND = run_id("first"), run_id("second")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def refusal(run=FIRST, why="other data", host="node-1", time="2025-01-31T12:00:00Z"):
    return Refusal(run=run, why=why, host=host, time=time)


def test_a_worker_that_refuses_nothing_writes_nothing(store):
    RefusalLog(store, "sweep")
    assert not store.root.exists()
    assert refusals(store, "sweep") == {}


def test_of_each_run_the_newest_refusal_of_all_workers_counts(store):
    one, two = RefusalLog(store, "sweep"), RefusalLog(store, "sweep")
    one.append(refusal())
    one.append(refusal(run=SECOND))
    two.append(newest := refusal(why="other code", host="node-2", time="2025-01-31T13:00:00Z"))
    assert refusals(store, "sweep") == {FIRST: newest, SECOND: refusal(run=SECOND)}
    assert refusals(store, "another") == {}


def test_a_launch_tries_again_what_was_refused_before(store):
    RefusalLog(store, "sweep").append(refusal())
    assert refusals(store, "sweep")
    store.put_submission("sweep", {"plan": 1})
    assert refusals(store, "sweep") == {}
    RefusalLog(store, "sweep").append(refusal(SECOND))
    assert list(refusals(store, "sweep")) == [SECOND]


def test_a_worker_of_before_may_refuse_after_a_launch_whatever_dates_files_have(store):
    log = RefusalLog(store, "sweep")
    log.append(refusal())
    store.put_submission("sweep", {"plan": 1})
    log.append(refusal(SECOND))
    folder = store.root / "sweeps" / "sweep"
    for newer, older in (("refused", "submission"), ("submission", "refused")):
        for path in folder.iterdir():
            os.utime(path, (1, 1) if path.name.startswith(older) else (2, 2))
        assert list(refusals(store, "sweep")) == [SECOND], newer


def test_a_torn_or_strange_line_is_passed_over(store):
    RefusalLog(store, "sweep").append(refusal())
    (log,) = (store.root / "sweeps" / "sweep").iterdir()
    with log.open("ab") as file:
        file.write(b'{"run": 3, "launch": "x"}\n{"run": "')
    assert refusals(store, "sweep") == {FIRST: refusal()}
