"""What a user sees of a launched sweep: where it stands, what failed and what helps, and what waits for what."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time

import msgspec
import pytest

from optathlon.results import Store, this_process
from optathlon.results.record import Ended
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.suite.errors import UsageError
from optathlon.suite.main import main
from optathlon.suite.monitoring import budget, find_run, progress, status
from tests.suite.stories import begin, end, finish, on_host, planned
from tests.suite.stories import progress as said
from tests.suite.sweeps import SWEEP, command, environment, optathlon, write
from tests.waiting import wait_for

FOUR = SWEEP.replace("[0, 1]", "[0, 1, 2, 3]")
TUNED = SWEEP.replace("seeds = [0, 1]", "seeds = {tune = [0], report = [1, 2]}").replace(
    "fixed.lr = 0.1", "grid.lr = [0.1, 0.2]"
)
BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def fail(store, run, reason, failure="", times=1, ended="2025-01-31T12:00:00Z", host=None):
    for _ in range(times):
        owner = on_host(host) if host else None
        end(store, run, reason=reason, failure=failure, ended=ended, owner=owner)


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


@pytest.mark.parametrize("job", [None, "slurm:c:ana:toys:7_3"])
def test_a_run_that_beats_its_heart_and_does_nothing_else_is_told_of(job, store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    for run, quiet in zip(plan.runs, (3 * 3600, 600), strict=False):
        owner = msgspec.structs.replace(this_process(), job=job, pid=os.getpid())
        attempt = begin(store, run, said(4, 0.5, 10.0), owner=owner)
        events = store.work(run.id) / f"events-{attempt.number:04d}.jsonl"
        os.utime(events, (time.time() - quiet,) * 2)
    told = optathlon(tmp_path, "status", "toys").stdout
    how = "`scancel 7_3`, and launch again" if job else f"kill process {os.getpid()} on {platform.node()}"
    assert f"({plan.runs[0].id}): no update for 3.0 h; if that is no long evaluation, it hangs: {how}, and it" in told
    assert told.count("no update for") == 1
    (seen,) = json.loads(optathlon(tmp_path, "status", "toys", "--json").stdout)["sweeps"]
    quiet = [r["quiet_seconds"] for r in seen["running"]]
    assert quiet == [pytest.approx(10800, abs=300), pytest.approx(600, abs=300)]


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


def test_status_tells_of_all_sweeps_a_line_each_and_of_one_the_whole(store, tmp_path):
    for name in ("first", "second"):
        plan = planned(tmp_path, BUILT_IN.replace("toys", name), store)
    fail(store, plan.runs[0], "ValueError: wrong on purpose", "optimizer", times=3)
    done = optathlon(tmp_path, "status")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["first", "second"]
    whole = optathlon(tmp_path, "status", "second").stdout
    assert "ptb-awd-lstm  adamw" in whole
    assert f"1 failed: ValueError: wrong on purpose ({plan.runs[0].id})" in whole
    assert "the optimizer's own error: correct the optimizer" in whole


def test_a_damaged_plan_hides_no_other_and_is_named(store, tmp_path):
    planned(tmp_path, BUILT_IN, store)
    (bad := store.root / "sweeps" / "bad").mkdir()
    (bad / "plan-0001.jsonl").write_text('{"name": "ba')
    done = optathlon(tmp_path, "status")
    assert (done.returncode, done.stdout.count("\n")) == (4, 1)
    assert done.stdout.startswith("toys: 0/4 done")
    assert "bad/plan-0001.jsonl, line 1: truncated" in done.stderr


def test_what_others_wrote_into_a_store_cannot_move_the_cursor(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    end(store, plan.runs[0], reason="\x1b[2Jevil", trace="\x1b]0;title\x07", failure="task")
    RefusalLog(store, "toys").append(Refusal(run=plan.runs[1].id, why="\x1b[2J", host="a", time="2025-01-31T12:00:00Z"))
    told = optathlon(tmp_path, "status", "toys").stdout + optathlon(tmp_path, "logs", plan.runs[0].id).stdout
    assert told.count(r"\x1b[2Jevil") == 2
    assert told.count(r"refused: \x1b[2J") == 1
    assert "\x1b" not in told


def test_of_an_empty_store_nothing_is_shown(tmp_path):
    for words in (("status",), ("status", "--watch")):
        done = optathlon(tmp_path, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "no sweep was launched in store\n")
    assert json.loads(optathlon(tmp_path, "status", "--json").stdout)["sweeps"] == []


def test_watching_a_sweep_that_nobody_works_on_ends(store, tmp_path):
    planned(tmp_path, BUILT_IN, store)
    done = optathlon(tmp_path, "status", "toys", "--watch")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("toys: 0/4 done")


def test_a_run_is_found_by_the_beginning_of_its_id_or_its_label(store, tmp_path):
    plan = planned(tmp_path, TUNED, store)
    run = plan.runs[0]
    assert find_run.run(store, run.id) == find_run.run(store, run.id[:6]) == run.id
    adamw = next(r for r in plan.runs if r.row == "adamw")
    assert find_run.run(store, f"toy:TASK/adamw/s{adamw.seed}") == adamw.id
    with pytest.raises(UsageError, match=rf"is 2 runs, say which by its id: {run.id} \(tune, lr=0.1, "):
        find_run.run(store, "toy:TASK/sgd/s0")
    with pytest.raises(UsageError, match="there is no such run"):
        find_run.run(store, "toy:TASK/sgd/s9")
    with pytest.raises(UsageError, match="four or more first digits"):
        find_run.run(store, "sgd")
    with pytest.raises(UsageError, match="there is no such run"):
        find_run.run(store, "0123456789abcdef")


def test_retry_lets_failed_runs_be_claimed_again_and_only_those(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    fail(store, plan.runs[0], "ValueError: wrong", times=3)
    fail(store, plan.runs[1], "ValueError: wrong", times=3)
    finish(store, plan, plan.runs[2], status="diverged", diverged_at=3, scores=[])
    one = optathlon(tmp_path, "retry", plan.runs[0].id[:8], "--json")
    assert json.loads(one.stdout)["retried"] == [plan.runs[0].id]
    assert "else launch it again" in one.stderr
    assert [store.states([r.id])[r.id].kind for r in plan.runs[:2]] == ["stopped", "failed"]
    assert json.loads(optathlon(tmp_path, "retry", "toys", "--json").stdout)["retried"] == [plan.runs[1].id]
    assert "nothing to retry" in optathlon(tmp_path, "retry", "toys").stderr
    for run, why in ((plan.runs[2], "diverged, which is an outcome"), (plan.runs[3], "it is waiting")):
        refused = optathlon(tmp_path, "retry", "toys", run.id)
        assert (refused.returncode, why in refused.stderr) == (2, True), refused.stderr


def test_logs_tells_each_attempt_its_traceback_and_the_end_of_its_log(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    run = plan.runs[0]
    trace = "Traceback (most recent call last):\n  File x\nValueError: wrong"
    end(store, run, reason="ValueError: wrong", failure="task", trace=trace, ended="2025-01-31T12:00:00Z")
    assert f"run {run.id} failed, and is tried again" in optathlon(tmp_path, "logs", run.id).stderr
    attempt = begin(store, run)
    store.log(attempt).write_text("\n".join(f"line {n}" for n in range(100)))
    shown = optathlon(tmp_path, "logs", run.id[:8])
    assert trace in shown.stdout
    assert "attempt 2" in shown.stdout
    assert "line 80\n" in shown.stdout
    assert "line 79\n" not in shown.stdout
    whole = optathlon(tmp_path, "logs", "ptb-awd-lstm/sgd/s0", "--attempt", "2").stdout
    assert "line 0\n" in whole
    assert trace not in whole
    document = json.loads(optathlon(tmp_path, "logs", run.id, "--json").stdout)
    assert [a["number"] for a in document["attempts"]] == [1, 2]
    assert document["attempts"][0]["ended"]["trace"] == trace


def test_logs_of_what_never_began_says_so_and_who_refused_it(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    run = plan.runs[0]
    RefusalLog(store, "toys").append(Refusal(run=run.id, why="other data", host="node-1", time="2025-01-31T12:00:00Z"))
    told = optathlon(tmp_path, "logs", run.id)
    assert told.returncode == 2
    assert "is waiting: it has no attempt" in told.stderr
    assert "a worker on node-1 refused it: other data" in told.stderr
    assert "no job of sweep toys has left a log" in optathlon(tmp_path, "logs", run.id, "--job").stderr


def test_the_log_of_the_job_that_names_the_run_is_shown(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    for name, job in (("local", {"folder": "jobs/local"}), ("array", {"jobs": [{"folder": "jobs/array"}]})):
        store.put_submission("toys", {"plan": 1, "cluster": name, **job})
        (store.root / "jobs" / name).mkdir(parents=True)
    (store.root / "jobs" / "local" / "log.txt").write_text(f"sgd ({plan.runs[0].id}): ended\n")
    (store.root / "jobs" / "array" / "7_0_log.out").write_text(f"sgd ({plan.runs[1].id}): killed\n")
    assert "ended" in optathlon(tmp_path, "logs", plan.runs[0].id, "--job").stdout
    killed = optathlon(tmp_path, "logs", plan.runs[1].id, "--job").stdout
    assert "killed" in killed
    assert "ended" not in killed
    (log,) = json.loads(optathlon(tmp_path, "logs", plan.runs[1].id, "--job", "--json").stdout)["logs"]
    assert log["path"].endswith("7_0_log.out")
    assert "killed" in log["text"]


@pytest.mark.slow
def test_a_canary_holds_the_rest_back_until_its_first_checkpoint(tmp_path):
    text = SWEEP.replace('name = "adamw"', 'name = "adamw"\nlabel = "crashing"\nprotocol.settings.crash = true')
    write(tmp_path, text.replace("[0, 1]", "[0, 1, 2]"))
    done = optathlon(tmp_path, "launch", "sweep.toml", "--canary")
    assert done.returncode == 1
    (seen,) = json.loads(optathlon(tmp_path, "status", "toys", "--json").stdout)["sweeps"]
    assert {k: v for k, v in seen["counts"].items() if v} == {"finished": 3, "failed": 1, "waiting": 2}
    (held,) = seen["held"]
    assert "for the canary toy:TASK/crashing/s0" in held["why"]
    assert len(held["runs"]) == 2
    assert "for the canary toy:TASK/crashing/s0" in done.stderr
    assert len(list((tmp_path / "store" / "work").rglob("attempt-*.json"))) == 3 + 3


@pytest.mark.slow
def test_a_worker_with_other_code_refuses_and_status_says_so(tmp_path):
    write(tmp_path)
    plan = planned(tmp_path, SWEEP, Store(tmp_path / "store"))
    with (tmp_path / "toy.py").open("a") as file:
        file.write("# edited after it was planned\n")
    worked = optathlon(tmp_path, "work", "toys", "1", "--beside", tmp_path)
    assert worked.returncode == 0
    (seen,) = json.loads(optathlon(tmp_path, "status", "toys", "--json").stdout)["sweeps"]
    assert seen["counts"]["waiting"] == len(plan.runs)
    (held,) = seen["held"]
    assert "refused: task toy:TASK is version" in held["why"]
    assert len(held["runs"]) == len(plan.runs)


@pytest.mark.slow
def test_logs_follows_a_run_to_its_end(tmp_path, hold):
    write(tmp_path)
    assert optathlon(tmp_path, "launch", "sweep.toml", "--detach").returncode == 0
    store = Store(tmp_path / "store")
    run = find_run.run(store, "toy:TASK/sgd/s0")
    wait_for(lambda: store.states([run])[run].kind == "running")
    follower = subprocess.Popen(
        command("logs", run, "--follow"), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert follower.stdout is not None
    assert "attempt 1" in follower.stdout.readline()
    hold.unlink()
    follower.communicate()
    assert follower.returncode == 0
    assert store.states([run])[run].kind == "finished"


def test_clean_drops_the_jobs_of_sweeps_that_have_all_their_outcomes_and_of_no_other(store, tmp_path):
    for name, seeds in (("done", "[0, 1]"), ("failed", "[7]")):
        plan = planned(tmp_path, BUILT_IN.replace("toys", name).replace("[0, 1]", seeds), store)
        for run in plan.runs:
            finish(store, plan, run) if name == "done" else fail(store, run, "ValueError: wrong", times=3)
        store.put_submission(name, {"plan": 1, "cluster": "local", "folder": f"jobs/me/{name}", "runs": 4})
        (store.root / "jobs" / "me" / name).mkdir(parents=True)
        (store.root / "jobs" / "me" / name / "log.txt").write_text("12345")
    store.put_submission("done", {"plan": 1, "cluster": "local", "folder": "../elsewhere"})
    (tmp_path / "elsewhere").mkdir()
    assert json.loads(optathlon(tmp_path, "clean", "--json").stdout)["freed_bytes"] == 5
    assert os.listdir(store.root / "jobs" / "me") == ["failed"]
    assert (tmp_path / "elsewhere").exists()
    assert optathlon(tmp_path, "status", "done", "--check").returncode == 0


def test_a_clock_that_disagrees_with_the_file_servers_is_named(store, tmp_path, monkeypatch, capsys):
    plan = planned(tmp_path, SWEEP, store)
    begin(store, plan.runs[0], owner=on_host("elsewhere"))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 6 * 3600)
    assert main(["status", "toys", "--store", str(store.root)]) == 0
    assert "this machine's clock is 6.0 h ahead of that of" in capsys.readouterr().err
