"""Sweeps that were planned unfairly, or changed after results were there."""

from __future__ import annotations

import msgspec

from optathlon.results.plan import Plan
from optathlon.results.record import Curve
from tests.results.audit.drafts import BEST, RATES, ROWS, TASKS, Corpus, Draft, replanned, without
from tests.results.make import Sweep, digest, run_id, setting

TAMPERED = Corpus()
tampered = TAMPERED.tampered


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


@tampered("altered plan")
def a_row_was_taken_out_of_a_launched_plan_and_its_digest_made_true():
    whole = Draft()
    draft = without("tune", "adamp")
    draft = replanned(draft, [run for run in draft.plans[0].runs if run.row != "adamp"])
    launched = {"plan": 1, "digest": whole.plans[0].head.digest}
    draft.afterwards.append(lambda store: store.put_submission("sweep", launched))
    return draft


@tampered("altered plan")
def the_plan_that_came_last_was_removed():
    draft = Draft()
    draft.afterwards.append(lambda store: store.put_submission("sweep", {"plan": 2}))
    return draft


@tampered("altered plan")
def a_later_plan_was_dated_back_before_any_result():
    draft = Draft()
    draft.plan(Draft(report=(10, 11, 12, 13)), created="2024-12-01T00:00:00Z")
    return draft


@tampered("unlike seeds")
def one_row_has_seeds_of_its_own():
    draft = Draft()
    runs = []
    for run in draft.plans[0].runs:
        if (run.role, run.row) == ("report", "adamp"):
            moved = msgspec.structs.replace(run, seed=run.seed + 10, id=run_id(run.problem, run.setting, run.seed + 10))
            if run.id in draft.records:
                draft.add(moved)
                del draft.records[run.id]
            run = moved
        runs.append(run)
    return replanned(draft, runs)
