"""What a user sees of a launched sweep: where it stands, what failed and what helps, and what waits for what."""

from __future__ import annotations

import os
import time

import pytest

from optathlon.results.record import Ended
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.suite.monitoring import budget, progress, status
from tests.suite.stories import begin, end, fail, finish, on_host, planned
from tests.suite.stories import progress as said
from tests.suite.sweeps import SWEEP, TUNED

FOUR = SWEEP.replace("[0, 1]", "[0, 1, 2, 3]")


def test_failures_alike_but_for_numbers_are_one_group_with_class_and_advice(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    for number, run in enumerate(plan.runs[:3]):
        reason = f"OutOfMemoryError: CUDA out of memory. Tried to allocate {number + 1}.5{number} GiB at 0x7f{number}a"
        fail(store, run, reason, "memory", times=3 if number else 1, host=f"node-{number}")
    (trouble,) = status.overview(store, plan).errors
    assert sorted(trouble.runs) == sorted(run.id for run in plan.runs[:3])
    assert trouble.final == 2
    assert trouble.hosts == ["node-0", "node-1", "node-2"]
    assert trouble.what == "out of memory"
    assert "more memory, or more devices" in trouble.advice


def test_the_newest_failure_comes_first_and_speaks_for_its_group(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    fail(store, plan.runs[0], "ValueError: step 1", "task", ended="2025-01-31T12:00:00Z")
    fail(store, plan.runs[1], "ImportError: no x", "import", ended="2025-01-31T14:00:00Z")
    fail(store, plan.runs[2], "ValueError: step 2", "task", ended="2025-01-31T15:00:00Z")
    assert [t.reason for t in status.overview(store, plan).errors] == ["ValueError: step 2", "ImportError: no x"]


def test_of_a_long_message_the_line_that_says_it_counts(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    fail(store, plan.runs[0], "AcceleratorError: CUDA error: device-side assert\nCompile with TORCH_USE_CUDA_DSA.\n")
    wrapped = "KeyError: Caught KeyError in DataLoader worker process 0.\nOriginal Traceback (most recent call last):\n"
    fail(store, plan.runs[1], wrapped + "  File x\nKeyError: 'label'\n")
    reasons = {t.reason for t in status.overview(store, plan).errors}
    assert reasons == {"AcceleratorError: CUDA error: device-side assert", "KeyError: 'label'"}


def test_who_died_without_a_word_is_named_with_its_host(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    begin(store, plan.runs[0], owner=on_host("node-3"))
    os.utime(store.work(plan.runs[0].id) / "attempt-0001.json", (0, 0))
    (trouble,) = status.overview(store, plan).errors
    assert (trouble.failure, trouble.reason, trouble.final) == ("lost", "died on node-3 without saying why", 0)
    assert trouble.advice.startswith("node-3 went down")


def test_a_run_that_was_asked_to_stop_has_not_failed(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    for _ in range(5):
        end(store, plan.runs[0], "stopped", reason="asked to stop, and then RuntimeError: NCCL", failure="device")
    seen = status.overview(store, plan)
    assert seen.errors == []
    assert (seen.counts["stopped"], seen.counts["failed"]) == (1, 0)


def test_what_a_worker_refused_waits_and_says_why(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    log = RefusalLog(store, plan.head.name)
    for run in plan.runs[:2]:
        log.append(Refusal(run=run.id, why="other data", host="node-1", time="2025-01-31T12:00:00Z"))
    finish(store, plan, plan.runs[1])
    (held,) = status.overview(store, plan).held
    assert (held.why, held.runs, held.hosts) == ("refused: other data", [plan.runs[0].id], ["node-1"])


def test_what_waits_for_a_canary_says_for_which_and_how_that_is(store, tmp_path):
    plan = planned(tmp_path, FOUR, store)
    store.put_submission(plan.head.name, {"plan": 1, "cluster": "local", "folder": "x", "canary": True})
    sgd, adamw = plan.runs[0], plan.runs[4]
    fail(store, sgd, "ValueError: wrong", "optimizer", times=3)
    begin(store, adamw)
    first, second = status.overview(store, plan).held
    assert first.runs == [run.id for run in plan.runs[1:4]]
    assert f"for the canary toy:TASK/sgd/s0 ({sgd.id}), which failed" in first.why
    assert f"optathlon retry {sgd.id}" in first.why
    assert "is running and has saved no checkpoint yet" in second.why
    store.put_submission(plan.head.name, {"plan": 1, "cluster": "local", "folder": "y", "canary": False})
    assert status.overview(store, plan).held == []


def test_a_running_run_shows_progress_speed_and_what_is_left(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    begin(store, plan.runs[0], said(4, 0.5, 10.0), said(12, 1.5, 30.0))
    overview = status.overview(store, plan)
    (running,) = overview.running
    assert (running.progress, running.speed, running.left) == (0.5, 0.4, pytest.approx(30.0))
    assert overview.remaining == pytest.approx((30.0 + 7 * 60.0) / 3600)
    assert overview.eta == pytest.approx(30.0 + 7 * 60.0)


def test_how_long_a_run_is_quiet_is_told_by_the_file_servers_clock_alone(store, tmp_path):
    """Whose clock is an hour behind here, and who has not beaten for ten minutes."""
    plan = planned(tmp_path, FOUR)
    attempt = begin(store, plan.runs[0], said(4, 0.5, 10.0))
    work, now = store.work(plan.runs[0].id), time.time()
    for name, seconds in ((f"attempt-{attempt.number:04d}.json", 600), (f"events-{attempt.number:04d}.jsonl", 3700)):
        os.utime(work / name, (now - seconds,) * 2)
    (running,) = status.overview(store, plan).running
    assert (round(running.quiet), running.hangs) == (3100, False)


def test_a_resumed_run_stands_where_it_resumed_until_it_says_more(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    attempt = begin(store, plan.runs[0], said(4, 0.5, 10.0), said(12, 1.5, 30.0), said(20, 2.5, 50.0))
    store.note_moved(attempt)
    store.end(Ended(run=attempt.run, number=attempt.number, kind="stopped", moved=True))
    begin(store, plan.runs[0], {"resumed": 13})
    (running,) = status.overview(store, plan).running
    assert (running.progress, running.speed) == (0.5, None)


def test_nothing_is_estimated_that_cannot_be(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    overview = status.overview(store, plan)
    assert (overview.remaining, overview.unknown, overview.eta) == (None, 8, None)
    begin(store, plan.runs[0])
    overview = status.overview(store, plan)
    assert (overview.remaining, overview.unknown, overview.eta) == (None, 8, None)
    assert "left" not in progress.line(overview, 1)


def test_reports_whose_setting_is_not_selected_yet_wait_and_cost(store, tmp_path):
    plan = planned(tmp_path, TUNED)
    sgd = [run for run in plan.runs if run.row == "sgd" and run.role == "tune"]
    finish(store, plan, sgd[0], 60.0)
    seen = status.overview(store, plan)
    assert seen.cells["sgd", "toy:TASK"] == {"finished": 1, "waiting": 3}
    assert (seen.total, seen.left) == (7, 6)
    assert seen.remaining == pytest.approx(6 * 60 / 3600)


def test_seeds_of_later_looks_are_not_to_do_but_count_for_a_budget(store, tmp_path):
    plan = planned(tmp_path, TUNED.replace("seeds = {tune = [0], report = [1, 2]}", "seeds.report = {looks = [2, 5]}"))
    cells = len(plan.head.rows) * len(plan.head.columns)
    finish(store, plan, plan.runs[0], 60.0)
    overview = status.overview(store, plan)
    assert (overview.total, len(overview.later)) == (2 * cells, 3 * cells)
    assert sum(budget.bill(overview).bases.values()) + sum(budget.bill(overview).unknown.values()) == 5 * cells - 1


def test_runs_like_which_none_was_measured_count_as_the_others_do_on_average(store, tmp_path):
    plan = planned(tmp_path, FOUR.replace('["toy:TASK"]', '["toy:TASK", "toy:PLAIN"]'))
    finish(store, plan, plan.runs[0], 60.0)
    begin(store, plan.runs[1], said(4, 0.5, 10.0), said(12, 1.5, 30.0))
    overview = status.overview(store, plan)
    assert overview.unknown == 8
    assert overview.eta == pytest.approx(30.0 + 14 * 60.0)
    assert progress.line(overview, 1).startswith("roughly 14 min left · toys: 1/16 done")
    assert "waits for a slot" in progress.line(overview, 1, "waits for a slot: all are held by rates")


def test_the_line_says_it_all(store, tmp_path):
    plan = planned(tmp_path, FOUR)
    finish(store, plan, plan.runs[0], 60.0)
    begin(store, plan.runs[1], said(4, 0.5, 10.0), said(12, 1.5, 30.0))
    fail(store, plan.runs[2], "ValueError: wrong", times=3)
    fail(store, plan.runs[3], "ValueError: wrong")
    line = progress.line(status.overview(store, plan), 1)
    assert (
        line == "about 6 min left · toys: 1/8 done · 1 running (sgd on toy:TASK 50%) · 1 failed · 1 to be tried again"
    )
