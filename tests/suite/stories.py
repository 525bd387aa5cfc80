"""Stores in which runs of a planned sweep have had their story, without training them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from optathlon.results import Store, this_process
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Attempt, Curve, Ended, Identity, Owner, Record, Score
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand
from tests.suite.sweeps import write


def planned(folder: Path, text: str, store: Store | None = None) -> Plan:
    """The plan of the sweep `text`, of the toy task in `folder`; put into `store` if there is one."""
    file = write(folder, text)
    plan = expand(sweep_reader.load(file), folder / "data")
    if store is not None:
        store.put_plan(plan, file.read_bytes())
    return plan


def on_host(host: str) -> Owner:
    """A process elsewhere, of which nobody here can tell whether it lives."""
    return msgspec.structs.replace(this_process(), host=host)


def begin(store: Store, run: PlannedRun, *events: dict[str, Any], owner: Owner | None = None) -> Attempt:
    """The next attempt of `run` has begun and said `events`."""
    attempt = store.claim(run.id, owner or this_process())
    assert attempt is not None
    log = store.event_log(attempt)
    for event in events:
        log.append(event)
    log.close()
    return attempt


def end(store: Store, run: PlannedRun, kind: Any = "failed", *, owner: Owner | None = None, **how: Any) -> None:
    """The next attempt of `run` has begun and ended."""
    attempt = begin(store, run, owner=owner)
    store.end(Ended(run=run.id, number=attempt.number, kind=kind, **how))


def fail(
    store: Store, run: PlannedRun, reason: str, failure: str = "", times: int = 1,
    ended: str = "2025-01-31T12:00:00Z", host: str | None = None,
) -> None:  # fmt: skip
    """The next attempts of `run`, so many, have failed."""
    for _ in range(times):
        owner = on_host(host) if host else None
        end(store, run, reason=reason, failure=failure, ended=ended, owner=owner)


def finish(
    store: Store,
    plan: Plan,
    run: PlannedRun,
    seconds: float = 60.0,
    device: str = "cpu",
    attempt: int = 1,
    processes: int = 1,
    **changes: Any,
) -> None:
    """`run` has its record."""
    scores = [
        Score(name=name, unit="", higher_is_better=better, value=0.5)
        for name, better in (("test/accuracy", True), ("validation/loss", False))
    ]
    clock = {"seconds": seconds, "evaluating": 0.0}
    record = Record(
        id=run.id,
        digests=Identity(problem=run.problem, setting=run.setting),
        problem=plan.head.problems[run.problem],
        setting=plan.head.settings[run.setting],
        seed=run.seed,
        status="finished",
        scores=scores,
        headline="test/accuracy",
        selection="validation/loss",
        updates=24,
        curve=Curve(unit="epochs", points={}),
        provenance={"attempt": attempt, "clock": clock, "machine": {"device": device, "processes": processes}},
    )
    store.commit(msgspec.structs.replace(record, **changes))


def progress(update: int, time: float, seconds: float) -> dict[str, Any]:
    """What a run says of itself from time to time."""
    return {"update": update, "time": time, "seconds": seconds, "evaluating": 0.0}
