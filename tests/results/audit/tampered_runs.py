"""Stores whose runs, records or plan files were tampered with after they were written."""

from __future__ import annotations

import copy
from collections.abc import Callable

import msgspec

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.results.record import Attempt, Curve, Ended, Owner, file_digest
from tests.results.audit.drafts import Corpus, Draft, provenance, record_id
from tests.results.make import digest

TAMPERED = Corpus()
tampered = TAMPERED.tampered


def attempts(run: str, kind: str, count: int, record: str = "") -> Callable[[Store], None]:
    def act(store: Store) -> None:
        owner = Owner(host="node", boot="b", pid_namespace="1", pid=1, started="0")
        for number in range(1, count + 1):
            path = store.work(run) / f"attempt-{number:04d}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(msgspec.json.encode(Attempt(run=run, number=number, owner=owner, created="")))
            store.end(Ended(run=run, number=number, kind=kind, reason="out of memory", failure="memory", record=record))

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


@tampered("false divergence")
def a_finished_run_of_the_baseline_is_called_diverged():
    draft = Draft()
    draft.change(draft.report("sgd"), status="diverged")
    return draft


@tampered("false divergence")
def a_run_whose_attempt_finished_has_a_diverged_record():
    draft = Draft()
    run = draft.report("sgd")
    none = [msgspec.structs.replace(score, value=None) for score in draft.records[run].scores]
    draft.change(run, status="diverged", diverged_at=7, scores=none)
    draft.afterwards.append(attempts(run, "finished", 1))
    return draft


@tampered("unusable record")
def a_record_has_its_score_in_another_unit():
    draft = Draft()
    record = draft.records[draft.report()]
    draft.change(record.id, scores=[msgspec.structs.replace(record.scores[0], unit="nats"), record.scores[1]])
    return draft


@tampered("forgotten")
def a_run_was_repeated_after_its_record_was_deleted():
    draft = Draft()
    draft.change(draft.report(), provenance=provenance(11) | {"attempt": 2})
    draft.afterwards.append(attempts(draft.report(), "finished", 2))
    return draft


@tampered("altered record")
def a_test_score_was_improved_by_hand():
    """Nothing but the digest that the end of its attempt holds knows what it was."""
    draft = Draft()
    record = draft.records[draft.report()]
    written = file_digest(msgspec.json.encode(record))
    better = msgspec.structs.replace(record.scores[0], value=99.9)
    draft.change(record.id, scores=[better, record.scores[1]])
    draft.afterwards.append(attempts(record.id, "finished", 1, written))
    return draft


@tampered("copied record")
def another_seed_of_another_row_was_copied():
    draft = Draft()
    source, target = draft.records[draft.report("adam", seed=10)], draft.records[draft.report("adamp", seed=12)]
    draft.change(target.id, scores=source.scores, curve=source.curve)
    return draft


@tampered("copied record")
def two_seeds_ended_with_the_same_weights():
    draft = Draft()
    for seed in (10, 11):
        draft.change(draft.report(seed=seed), weights="c" * 64)
    return draft


@tampered("unequal length")
def one_run_has_half_the_updates():
    draft = Draft()
    draft.change(draft.report(), updates=50)
    return draft
