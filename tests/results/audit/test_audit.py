"""Stores with one fault each, made from a clean one: the audit names that fault, and no other."""

from __future__ import annotations

import msgspec
import pytest

from optathlon.results.audit.audit import audit
from optathlon.results.audit.evidence import collect
from optathlon.results.audit.finding import FAULTS
from optathlon.results.record import file_digest
from tests.results.audit import tampered_plans, tampered_runs
from tests.results.audit.drafts import Draft, faults, plan_digest, record_id
from tests.results.audit.tampered_runs import attempts

TAMPERED = tampered_plans.TAMPERED | tampered_runs.TAMPERED


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


def test_rows_that_train_alike_with_one_seed_are_no_copies(tmp_path):
    """A projection that never projects leaves Adam."""
    draft = Draft()
    for seed in (10, 11, 12):
        adam, adamp = draft.records[draft.report("adam", seed=seed)], draft.report("adamp", seed=seed)
        draft.change(adam.id, weights=f"{seed}" * 32)
        draft.change(adamp, scores=adam.scores, curve=adam.curve, weights=f"{seed}" * 32)
    assert faults(draft.write(tmp_path / "store")) == []


def test_a_record_as_its_attempt_wrote_it_is_no_fault(tmp_path):
    draft = Draft()
    record = draft.records.pop(draft.report())
    written = file_digest(msgspec.json.encode(record))
    draft.afterwards += [lambda store: store.commit(record), attempts(record.id, "finished", 1, written)]
    store = draft.write(tmp_path / "store")
    assert [ended.record for ended in store.endings(record.id).values()] == [written]
    assert faults(store) == []


def test_what_looks_asked_for_before_an_outcome_was_lost_is_no_setting_that_was_not_chosen(tmp_path):
    draft = Draft(report=(10, 11, 12, 13), looks=(2, 4))
    draft.afterwards.append(lambda store: store.forget(draft.report(seed=10)))
    assert {fault for fault, _ in faults(draft.write(tmp_path / "store"))} == {"forgotten", "unfinished"}


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
