"""Stores with one fault each, made from a clean one: the audit names that fault, and no other."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from optathlon.results import Store
from optathlon.results.audit.audit import audit
from optathlon.results.audit.evidence import collect
from optathlon.results.audit.finding import FAULTS
from optathlon.results.plan import Plan
from optathlon.results.record import Attempt, Curve, Ended, Owner, Record
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


TAMPERED: dict[str, tuple[str, Callable[[], Draft]]] = {}


def tampered(fault: str, name: str = ""):
    """Registers a store with one fault, under the name of the function that makes it."""

    def register(make: Callable[[], Draft]) -> Callable[[], Draft]:
        TAMPERED[name or make.__name__] = (fault, make)
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


@tampered("unequal settings")
def one_row_tried_fewer_settings():
    draft = Draft()
    only = digest(setting("sgd", lr=BEST))
    return replanned(draft, [run for run in draft.plans[0].runs if run.row != "sgd" or run.setting == only])


@tampered("unequal tuning seeds")
def one_row_tuned_with_fewer_seeds():
    return without("tune", "sgd", seed=1)


@tampered("unequal report seeds")
def one_row_reports_fewer_seeds():
    return without("report", "adamp", seed=12)


@tampered("unequal length")
def one_row_trains_longer():
    rows = {name: [setting(name, lr=rate) for rate in RATES] for name in ROWS}
    rows["adamp"] = [{**of_row, "protocol": {"length": 4}} for of_row in rows["adamp"]]
    draft = Draft()
    draft.sweep = Sweep(rows, tasks=TASKS, tune=(0, 1), baseline="sgd")
    draft.plans, draft.records = [draft.sweep.plan], {}
    for run in draft.sweep.plan.runs:
        if run.role == "tune" or draft.sweep.settings[run.setting]["hyperparameters"]["lr"] == BEST:
            draft.add(run)
    return draft


@tampered("edge")
def a_winner_on_the_edge_of_its_grid():
    draft = Draft()
    for run in draft.sweep.runs(role="tune", row="adam", column="mnist", setting=setting("adam", lr=1.0)):
        record = draft.records[run.id]
        scores = [msgspec.structs.replace(score, value=99.0) for score in record.scores]
        curve = Curve(unit="epochs", points={**record.curve.points, "validation/accuracy": [(1.0, 99.0)]})
        draft.change(run.id, scores=scores, curve=curve)
    for run in draft.sweep.runs(role="report", row="adam", column="mnist"):
        draft.records.pop(run.id, None)
        if run.setting == digest(setting("adam", lr=1.0)):
            draft.add(run)
    return draft


@tampered("chosen on test")
def settings_are_chosen_by_test_scores():
    draft = Draft()
    head = draft.plans[0].head
    columns = [msgspec.structs.replace(column, selection="test/accuracy") for column in head.columns]
    draft.plans[0] = Plan(head=msgspec.structs.replace(head, columns=columns), runs=draft.plans[0].runs)
    return draft


@tampered("test seen")
def a_setting_that_was_not_chosen_was_reported():
    draft = Draft()
    for run in draft.sweep.runs(role="report", row="adam", column="ptb", setting=setting("adam", lr=1.0)):
        draft.add(run)
    return draft


@tampered("seed tunes and reports")
def a_report_seed_tunes_in_the_same_sweep():
    return Draft(report=(1, 11, 12))


@tampered("seed tunes and reports")
def a_report_seed_tuned_in_another_sweep():
    draft = Draft()
    other = Draft(tune=(11,), report=(20, 21, 22))
    draft.plan(other, "earlier", created="2025-01-01T00:00:00Z")
    return draft


@tampered("seed tunes and reports")
def settings_were_compared_on_test_in_another_sweep_with_the_same_seeds():
    draft = Draft(tune=(), baseline=None)
    scan = Sweep({f"{row} {rate}": [setting(row, lr=rate)] for row in ROWS for rate in RATES}, tasks=TASKS)
    final = Sweep({row: [setting(row, lr=BEST)] for row in ROWS}, tasks=TASKS, baseline="sgd")
    draft.sweep, draft.records = scan, {}
    for run in scan.plan.runs:
        draft.add(run)
    head = msgspec.structs.replace(scan.plan.head, name="scan")
    draft.plans = [Plan(head=head, runs=scan.plan.runs), final.plan]
    return draft


@tampered("seeds added")
def seeds_were_added_after_results():
    draft = Draft()
    draft.plan(Draft(report=(10, 11, 12, 13, 14)))
    return draft


@tampered("seeds dropped")
def a_seed_was_dropped_after_results():
    draft = Draft()
    draft.plan(Draft(report=(10, 11)))
    return draft


@tampered("row dropped")
def a_row_was_dropped_after_results():
    draft = Draft()
    draft.plan(without("report", "adamp"))
    runs = [run for run in draft.plans[-1].runs if run.row != "adamp"]
    head = draft.plans[-1].head
    rows = [row for row in head.rows if row.name != "adamp"]
    head = msgspec.structs.replace(head, rows=rows, digest=digest([run.id for run in runs]))
    draft.plans[-1] = Plan(head=head, runs=runs)
    return draft


@tampered("task dropped")
def a_task_was_dropped_after_results():
    draft = Draft()
    draft.plan(Draft(tasks=("mnist",)))
    return draft


def same_runs(draft: Draft) -> Draft:
    """`draft` with its runs in another order, so that its plan is not taken for the first one."""
    return replanned(draft, draft.plans[0].runs[::-1])


@tampered("rules changed")
def another_baseline_was_taken_after_results():
    draft = Draft()
    draft.plan(same_runs(Draft(baseline="adam")))
    return draft


@tampered("rules changed")
def looks_were_given_up_after_results():
    draft = Draft(looks=(2, 3))
    draft.plan(same_runs(Draft()))
    return draft


@tampered("rules changed")
def tuning_seeds_were_dealt_out_anew_after_results():
    draft = Draft(tune=(0, 1, 2), tuning={10: (0,), 11: (1,), 12: (2,)})
    draft.plan(same_runs(Draft(tune=(0, 1, 2), tuning={10: (1,), 11: (2,), 12: (0,)})))
    return draft


@tampered("rules changed")
def rows_were_judged_by_another_score_after_results():
    draft = Draft()
    draft.plan(same_runs(Draft()))
    later = draft.plans[1]
    columns = [msgspec.structs.replace(column, metric="validation/accuracy") for column in later.head.columns]
    draft.plans[1] = Plan(head=msgspec.structs.replace(later.head, columns=columns), runs=later.runs)
    return draft


def attempts(run: str, kind: str, count: int) -> Callable[[Store], None]:
    def act(store: Store) -> None:
        owner = Owner(host="node", boot="b", pid_namespace="1", pid=1, started="0")
        for number in range(1, count + 1):
            path = store.work(run) / f"attempt-{number:04d}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(Attempt(run=run, number=number, owner=owner, created="")))
            store.end(Ended(run=run, number=number, kind=kind, reason="out of memory", failure="memory"))

    return act


@tampered("failed run")
def a_report_run_failed_for_good():
    draft = Draft()
    del draft.records[draft.report()]
    draft.afterwards.append(attempts(draft.report(), "failed", 3))
    return draft


@tampered("unfinished")
def a_run_was_never_carried_out():
    draft = Draft()
    del draft.records[draft.report()]
    return draft


@tampered("hidden divergence")
def a_diverged_run_is_called_finished():
    draft = Draft()
    draft.change(draft.report(), diverged_at=77)
    return draft


@tampered("hidden divergence")
def a_run_whose_attempt_diverged_has_a_finished_record():
    draft = Draft()
    draft.afterwards.append(attempts(draft.report(), "diverged", 1))
    return draft


@tampered("hidden divergence")
def a_finished_run_ends_with_a_loss_that_is_no_number():
    draft = Draft()
    curve = copy.deepcopy(draft.records[draft.report()].curve)
    curve.points["train/loss"].append((5.0, None))
    draft.change(draft.report(), curve=curve)
    return draft


@tampered("forgotten")
def a_bad_outcome_was_forgotten_and_the_run_repeated():
    draft = Draft()
    record = draft.records[draft.report()]
    draft.afterwards += [lambda store: store.forget(record.id), lambda store: store.commit(record)]
    return draft


@tampered("unplanned seeds")
def more_seeds_were_run_than_are_shown():
    draft = Draft()
    record = draft.records[draft.report()]
    extra = msgspec.structs.replace(record, seed=13, curve=Curve(unit="epochs", points={}))
    draft.records[record_id(extra)] = msgspec.structs.replace(extra, id=record_id(extra))
    return draft


@tampered("altered record")
def the_hyperparameters_of_a_record_were_changed():
    draft = Draft()
    lied = {**draft.records[draft.report()].setting, "hyperparameters": {"lr": 0.3}}
    draft.change(draft.report(), setting=lied)
    return draft


@tampered("altered record")
def the_seed_of_a_record_was_changed():
    draft = Draft()
    draft.change(draft.report(), seed=15)
    return draft


@tampered("altered plan")
def a_run_was_taken_out_of_a_plan_by_hand():
    draft = Draft()
    gone = {run.id for run in draft.sweep.runs(seed=12)}
    draft.plans[0] = Plan(head=draft.plans[0].head, runs=[run for run in draft.plans[0].runs if run.id not in gone])
    draft.records = {run: record for run, record in draft.records.items() if run not in gone}
    return draft


@tampered("altered plan")
def the_plan_that_came_first_was_removed():
    draft = Draft(report=(10, 11))
    draft.plan(Draft(report=(10, 11, 12)))
    draft.afterwards.append(lambda store: (store.sweep_folder("sweep") / "plan-0001.jsonl").unlink())
    return draft


@tampered("off its curve")
def a_validation_score_was_improved_by_hand():
    draft = Draft()
    record = draft.records[draft.report()]
    draft.change(record.id, scores=[record.scores[0], msgspec.structs.replace(record.scores[1], value=99.9)])
    return draft


@tampered("copied record")
def one_seed_was_copied_to_another():
    draft = Draft()
    source, target = draft.records[draft.report(seed=10)], draft.records[draft.report(seed=11)]
    draft.change(target.id, scores=source.scores, curve=source.curve)
    return draft


@tampered("unreadable")
def a_record_is_damaged():
    draft = Draft(report=(10, 11, 12))
    record = draft.records[draft.report()]
    extra = "f" * 16
    draft.afterwards.append(lambda store: (store.root / "records" / "ff").mkdir(exist_ok=True))
    draft.afterwards.append(
        lambda store: (store.root / "records" / "ff" / f"{extra}.json").write_bytes(msgspec.json.encode(record)[:-40])
    )
    return draft


@tampered("mixed code")
def one_row_ran_with_other_code():
    draft = Draft()
    draft.change(draft.report(), provenance=provenance(11) | {"code": {"tree": "bbbb"}})
    return draft


@tampered("mixed libraries")
def one_run_had_another_torch():
    draft = Draft()
    draft.change(draft.report(), provenance=provenance(11) | {"versions": {"torch": "2.10.0"}})
    return draft


@tampered("mixed data")
def two_tasks_have_two_editions_of_one_data_set():
    draft = Draft()
    plan = draft.plans[0]
    (problem,) = [digest(p) for p in plan.head.problems.values() if p["task"] == "ptb"]
    other = {problem: plan.head.problems[problem] | {"data": {"mnist": "standin-1"}}}
    head = msgspec.structs.replace(plan.head, problems=plan.head.problems | other)
    draft.plans[0] = Plan(head=head, runs=plan.runs)
    return draft


@tampered("one seed")
def every_cell_has_one_seed():
    return Draft(report=(10,))


@tampered("no provenance")
def a_record_says_nothing_of_where_it_ran():
    draft = Draft()
    draft.change(draft.report(), provenance={"attempt": 1, "code": {"tree": "aaaa"}, "versions": {"torch": "2.11.0"}})
    return draft


@pytest.mark.parametrize("name", TAMPERED)
def test_each_fault_is_named_and_nothing_else(name, tmp_path):
    fault, make = TAMPERED[name]
    assert {kind for kind, _ in faults(make().write(tmp_path / "store"))} == {fault}


def test_every_kind_of_fault_is_in_the_corpus():
    assert {fault for fault, _ in TAMPERED.values()} == FAULTS.keys()


@pytest.mark.parametrize(
    "make",
    [
        Draft,
        lambda: Draft(tune=(), baseline=None),
        lambda: Draft(report=tuple(range(10, 20))),
        lambda: Draft(tasks=("mnist",), higher_is_better=True),
    ],
)
def test_clean_stores_have_no_fault(make, tmp_path):
    draft = make()
    for run in draft.sweep.plan.runs if not draft.sweep.runs(role="tune") else ():
        draft.add(run)
    assert faults(draft.write(tmp_path / "store")) == []


def test_a_second_plan_made_before_any_result_is_no_look(tmp_path):
    draft = Draft()
    draft.plan(Draft(report=(10, 11, 12, 13)), created="2025-01-15T00:00:00Z")
    assert faults(draft.write(tmp_path / "store")) == []


def test_what_another_sweep_tuned_by_after_this_one_was_planned_is_no_fault(tmp_path):
    draft = Draft()
    draft.plan(Draft(tune=(11,), report=(20, 21, 22)), "later")
    assert faults(draft.write(tmp_path / "store")) == []


def test_a_diverged_run_that_says_so_is_no_fault(tmp_path):
    draft = Draft()
    run = draft.report()
    none = [msgspec.structs.replace(score, value=None) for score in draft.records[run].scores]
    draft.change(run, status="diverged", diverged_at=7, scores=none)
    assert faults(draft.write(tmp_path / "store")) == []


def test_the_checklist_has_the_numbers(tmp_path):
    evidence = collect(Draft().write(tmp_path / "store"), record_id, plan_digest)
    answers = {item.name: item.answer for item in audit(evidence).checklists["sweep"]}
    assert answers["settings of adamp"] == "3 of a task; in all: lr 0.01 0.1 1"
    assert answers["selection"] == "best mean of validation/accuracy over 2 tuning seeds"
    assert answers["error bars"].startswith("sample deviation (ddof = 1) over 3 report seeds")
    seconds, tuning = 2 * 3 * (3 * (60 + 61) + 70 + 71 + 72), 2 * 9 * (60 + 61)
    hours = f"{seconds / 3600:.3g} hours of one device for 54 runs, {tuning / 3600:.3g} of them tuning"
    assert answers["compute"] == hours
    assert (answers["devices"], answers["memory"]) == ("cpu", "500 MiB of a process at most")
    assert answers["energy"] == "not recorded"


def test_the_checklist_counts_the_seeds_that_a_winner_has_and_those_that_looks_asked_for(tmp_path):
    each = Draft(tune=(0, 1, 2), tuning={10: (0,), 11: (1,), 12: (2,)})
    evidence = collect(each.write(tmp_path / "each"), record_id, plan_digest)
    answers = {item.name: item.answer for item in audit(evidence).checklists["sweep"]}
    assert answers["selection"] == "each report seed its own: best mean of validation/accuracy over its 1 tuning seeds"
    first = Draft(report=(10, 11, 12, 13), looks=(2, 4))
    first.records = {run: record for run, record in first.records.items() if record.seed < 11}
    evidence = collect(first.write(tmp_path / "looks"), record_id, plan_digest)
    answers = {item.name: item.answer for item in audit(evidence).checklists["sweep"]}
    assert answers["error bars"].startswith("sample deviation (ddof = 1) over 2 report seeds")
