"""Events of a run: one writer a file, merged so that each update is told once."""

from __future__ import annotations

import errno
import os

import msgspec
import pytest

from optathlon.results import Store, this_process
from optathlon.results.record import Ended
from optathlon.results.store.events import EventLog
from tests import odd_files
from tests.results.make import run_id

RUN = run_id("a run")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def attempt(store, *events, torn=b""):
    claimed = store.claim(RUN, this_process())
    log = store.event_log(claimed)
    for event in events:
        log.append(event)
    log.close()
    path = store.work(RUN) / f"events-{claimed.number:04d}.jsonl"
    path.write_bytes(path.read_bytes() + torn)
    store.end(Ended(run=RUN, number=claimed.number, kind="stopped"))
    return path


def test_what_is_appended_is_read_back_in_order(store):
    said = [{"update": n, "loss": 1.0 / n, "split": "train"} for n in (1, 2, 3)]
    attempt(store, *said)
    assert store.events(RUN) == said


def test_a_line_torn_by_a_kill_is_left_out(store):
    attempt(store, {"update": 1}, {"update": 2}, torn=b'{"update": 3, "lo')
    assert store.events(RUN) == [{"update": 1}, {"update": 2}]
    attempt(store, {"update": 3})
    assert store.events(RUN) == [{"update": 1}, {"update": 2}, {"update": 3}]


def test_garbage_between_lines_does_not_hide_what_follows(store):
    path = attempt(store, {"update": 1})
    path.write_bytes(path.read_bytes() + b'\xff\xfe{"x\n[1]\n' + b"[" * 10**5 + b'\n{"update": 2}\n')
    assert store.events(RUN) == [{"update": 1}, {"update": 2}]


def test_what_has_no_number_where_one_belongs_is_left_out(store):
    wrong = b'{"update": "3"}\n{"update": null}\n{"time": [1]}\n{"seconds": true}\n{"resumed": {}}\n'
    path = attempt(store, {"update": 1}, torn=wrong + b'{"update": 2, "of": "x"}\n')
    assert store.events(RUN) == store.latest(RUN, 1) == [{"update": 1}, {"update": 2, "of": "x"}]
    assert path.exists()


def test_the_newest_attempt_wins_for_each_update(store):
    attempt(store, *({"update": n, "by": 1} for n in (10, 20, 30, 40)))
    attempt(store, *({"update": n, "by": 2} for n in (30, 40)))
    attempt(store, {"update": 40, "by": 3}, {"update": 40, "by": 3, "more": True}, {"update": 50, "by": 3})
    assert [(e["update"], e["by"]) for e in store.events(RUN)] == [(10, 1), (20, 1), (30, 2), (40, 3), (40, 3), (50, 3)]


def test_what_has_no_update_stays_with_its_attempt(store):
    attempt(store, {"resumed": 0}, {"update": 10}, {"update": 20})
    attempt(store, {"resumed": 20}, {"update": 20, "again": True}, {"slept": 1})
    assert store.events(RUN) == [
        {"resumed": 0},
        {"update": 10},
        {"resumed": 20},
        {"update": 20, "again": True},
        {"slept": 1},
    ]


def test_what_has_no_update_outlives_what_was_said_beside_it(store):
    attempt(store, {"update": 10, "by": 1}, {"slept": 1})
    attempt(store, {"update": 10, "by": 2})
    attempt(store, {"resumed": 10})
    assert store.events(RUN) == [{"slept": 1}, {"update": 10, "by": 2}, {"resumed": 10}]


def test_non_finite_numbers_are_null(store):
    path = attempt(store, {"update": 1, "loss": float("nan")})
    assert msgspec.json.decode(path.read_bytes()) == {"update": 1, "loss": None}


def test_a_disk_that_is_full_when_an_attempt_begins_costs_events_alone(store, monkeypatch):
    """They are written once there is room."""
    claimed = store.claim(RUN, this_process())
    genuine = os.open

    def full(path, *how):
        if "events-" in str(path):
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return genuine(path, *how)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        log = store.event_log(claimed)
        log.append({"update": 1})
    log.append({"update": 2})
    log.close()
    assert store.events(RUN) == [{"update": 2}]


def test_a_log_that_could_never_be_opened_is_closed(store, tmp_path):
    (tmp_path / "file").touch()
    log = EventLog(tmp_path / "file" / "events-0001.jsonl")
    log.append({"update": 1})
    log.close()


def test_a_pipe_in_place_of_the_file_is_not_waited_for(tmp_path):
    path = tmp_path / "events-0001.jsonl"
    assert not odd_files.waits_for(lambda: EventLog(path).append({"update": 1}), path)
