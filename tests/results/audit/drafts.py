"""Stores before they are written: sound sweeps of made-up runs, which the corpus tampers with."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec

from optathlon.results import Store
from optathlon.results.audit.audit import audit
from optathlon.results.audit.evidence import collect
from optathlon.results.audit.finding import FAULTS
from optathlon.results.plan import Plan
from optathlon.results.record import Curve, Record
from tests.results.make import Sweep, digest, run_id, setting

BEST, RATES = 0.1, (0.01, 0.1, 1.0)
ROWS = ("sgd", "adam", "adamp")
TASKS = ("mnist", "ptb")


def record_id(record: Record) -> str:
    return run_id(digest(record.problem), digest(record.setting), record.seed)


def plan_digest(file: bytes) -> str:
    return digest([json.loads(line)["id"] for line in file.splitlines()[1:]])


class Draft:
    """A store before it is written: its plans by sweep, its records, and what is done to the files."""

    def __init__(self, **options: Any) -> None:
        rows = {name: [setting(name, lr=rate) for rate in RATES] for name in ROWS}
        self.sweep = Sweep(rows, **({"tasks": TASKS, "tune": (0, 1), "baseline": "sgd"} | options))
        self.plans: list[Plan] = [self.sweep.plan]
        self.records: dict[str, Record] = {}
        self.afterwards: list[Callable[[Store], object]] = []
        for run in self.sweep.plan.runs:
            if run.role == "tune" or self.sweep.settings[run.setting]["hyperparameters"]["lr"] == BEST:
                self.add(run)

    def add(self, run, **changes: Any) -> Record:
        """The outcome of a run: the middle rate is the best, and each run has a course of its own."""
        chance = random.Random(run.id)
        rate = self.sweep.settings[run.setting]["hyperparameters"]["lr"]
        scores = [70 + 10 * (rate == BEST) + chance.gauss(0, 1) for _ in range(3)]
        losses = [(float(i), chance.random()) for i in range(4)]
        points = {"train/loss": losses, "validation/accuracy": list(enumerate(map(float, scores), start=1))}
        record = self.sweep.record(
            run, scores[-1] - 1, scores[-1], curve=Curve(unit="epochs", points=points), provenance=provenance(run.seed)
        )
        self.records[run.id] = msgspec.structs.replace(record, **changes)
        return self.records[run.id]

    def report(self, row: str = "adam", column: str = "mnist", seed: int = 11) -> str:
        """The id of a run that is shown."""
        (run,) = self.sweep.runs(role="report", row=row, column=column, seed=seed, setting=setting(row, lr=BEST))
        return run.id

    def change(self, run: str, **changes: Any) -> None:
        self.records[run] = msgspec.structs.replace(self.records[run], **changes)

    def plan(self, draft: Draft, name: str = "sweep", created: str = "2025-03-01T00:00:00Z") -> None:
        """One more plan, with the records of `draft`."""
        head = msgspec.structs.replace(draft.plans[0].head, name=name, created=created)
        self.plans.append(Plan(head=head, runs=draft.plans[0].runs))
        self.records = draft.records | self.records

    def write(self, root) -> Store:
        store = Store(root)
        for plan in self.plans:
            store.put_plan(plan, b"")
        for key, record in self.records.items():
            path = store.root / "records" / key[:2] / f"{key}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(record))
        for act in self.afterwards:
            act(store)
        return store


def provenance(seed: int) -> dict[str, Any]:
    return {
        "attempt": 1,
        "started": "2025-02-01T00:00:00Z",
        "ended": "2025-02-01T01:00:00Z",
        "clock": {"seconds": 60.0 + seed},
        "code": {"tree": "aaaa", "commit": "0" * 40},
        "machine": {"device": "cpu", "processes": 1, "peak_rss_mb": 500.0},
        "versions": {"torch": "2.11.0", "cuda": None, "python": "3.11.7"},
    }


def faults(store: Store) -> list[tuple[str, str]]:
    findings = audit(collect(store, record_id, plan_digest)).findings
    assert {finding.fault for finding in findings} <= FAULTS.keys()
    return sorted({(finding.fault, finding.where) for finding in findings})


class Corpus(dict[str, tuple[str, Callable[[], Draft]]]):
    """Stores with one fault each, by what was done: the fault, and the function that makes the draft."""

    def tampered(self, fault: str):
        """Registers a store with `fault` under the name of the function that makes it."""

        def register(make: Callable[[], Draft]) -> Callable[[], Draft]:
            self[make.__name__] = (fault, make)
            return make

        return register


def replanned(draft: Draft, runs) -> Draft:
    """`draft` with other runs in its plan, whose digest is true."""
    head = msgspec.structs.replace(draft.plans[0].head, digest=digest([run.id for run in runs]))
    draft.plans[0] = Plan(head=head, runs=list(runs))
    kept = {run.id for run in draft.plans[0].runs}
    draft.records = {run: record for run, record in draft.records.items() if run in kept}
    return draft


def without(role: str, row: str, **fields: Any) -> Draft:
    draft = Draft()
    dropped = {run.id for run in draft.sweep.runs(role=role, row=row, **fields)}
    return replanned(draft, [run for run in draft.plans[0].runs if run.id not in dropped])
