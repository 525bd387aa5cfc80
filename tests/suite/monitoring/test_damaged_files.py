"""What records and events hold in place of numbers ends neither a forecast nor a status, and is waited for by none."""

from __future__ import annotations

import json

import msgspec
import pytest

from optathlon.results import Store, leaderboard_of_records
from optathlon.suite.monitoring import status
from tests.results.make import Sweep, setting

NO_NUMBERS = [None, True, "x", [1], {"a": 1}, 2**64, 10**400]


@pytest.fixture
def sweep():
    return Sweep({"sgd": [setting("sgd")]}, tasks=("ptb-awd-lstm",), report=(0, 1))


def finished(sweep, store, **provenance):
    """The first run's record, with this provenance as JSON may hold it, also what no writer would put there."""
    made = sweep.record(sweep.plan.runs[0])
    about = {"attempt": 1, "clock": {"seconds": 3.0}, "machine": {"processes": 1}, **provenance}
    path = store.root / "records" / made.id[:2] / f"{made.id}.json"
    store.commit(made)
    path.write_text(json.dumps({**msgspec.to_builtins(made), "provenance": about}))


@pytest.mark.parametrize("wrong", NO_NUMBERS, ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("field", ["attempt", "seconds", "clock", "processes", "machine", "code"])
def test_a_provenance_may_hold_anything(sweep, tmp_path, field, wrong):
    store = Store(tmp_path / "store")
    store.put_plan(sweep.plan, b"")
    places = {"seconds": {"clock": {"seconds": wrong}}, "processes": {"machine": {"processes": wrong}}}
    finished(sweep, store, **places.get(field, {field: wrong}))
    seen = status.overview(store, sweep.plan)
    assert seen.counts["finished"] == 1
    assert seen.remaining is None or seen.remaining >= 0
    assert leaderboard_of_records(store.records(curves=True)).rows[0].cells[0].n == 1


@pytest.mark.parametrize("wrong", [*NO_NUMBERS, "missing"], ids=lambda value: str(value)[:20])
def test_a_protocol_without_a_length_forecasts_nothing(sweep, tmp_path, wrong):
    for of_problem in sweep.plan.head.problems.values():
        of_problem["protocol"] = {} if wrong == "missing" else {"length": wrong}
    store = Store(tmp_path / "store")
    finished(sweep, store)
    assert status.overview(store, sweep.plan).total == 2


@pytest.mark.parametrize("wrong", [*NO_NUMBERS, "missing"], ids=lambda value: str(value)[:20])
@pytest.mark.parametrize("field", ["time", "update", "seconds", "resumed"])
def test_events_without_numbers_are_passed_over(sweep, tmp_path, field, wrong):
    from optathlon.results import this_process

    store = Store(tmp_path / "store")
    attempt = store.claim(sweep.plan.runs[0].id, this_process())
    assert attempt is not None
    log = store.event_log(attempt)
    good = {"time": 0.5, "update": 10, "seconds": 3.0, "resumed": 2}
    log.append(good)
    log.close()
    path = next(store.work(attempt.run).glob("events-*"))
    bad = {key: value for key, value in good.items() if key != field} | ({} if wrong == "missing" else {field: wrong})
    path.write_text(f"{json.dumps(bad)}\n{json.dumps(good)}\n{json.dumps(bad)}\n")
    assert status.overview(store, sweep.plan).counts["running"] == 1


def test_the_usual_forecast_is_what_it_was(sweep, tmp_path):
    store = Store(tmp_path / "store")
    finished(sweep, store)
    assert status.overview(store, sweep.plan).remaining == pytest.approx(3.0 / 3600)
