"""What `status` tells: of all sweeps, of one, and of what others left in the store."""

from __future__ import annotations

import json
import os
import platform
import time

import msgspec
import pytest

from optathlon.results import Store, this_process
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.suite.main import main
from tests.suite.commands.in_process import run_here
from tests.suite.stories import begin, end, fail, on_host, planned
from tests.suite.stories import progress as said
from tests.suite.sweeps import SWEEP, optathlon, write

BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.mark.parametrize("job", [None, "slurm:c:ana:toys:7_3"])
def test_a_run_that_beats_its_heart_and_does_nothing_else_is_told_of(job, store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    for run, quiet in zip(plan.runs, (3 * 3600, 600), strict=False):
        owner = msgspec.structs.replace(this_process(), job=job, pid=os.getpid())
        attempt = begin(store, run, said(4, 0.5, 10.0), owner=owner)
        events = store.work(run.id) / f"events-{attempt.number:04d}.jsonl"
        os.utime(events, (time.time() - quiet,) * 2)
    told = run_here(tmp_path, "status", "toys").stdout
    how = "`scancel 7_3`, and launch again" if job else f"kill process {os.getpid()} on {platform.node()}"
    assert f"({plan.runs[0].id}): no update for 3.0 h; if that is no long evaluation, it hangs: {how}, and it" in told
    assert told.count("no update for") == 1
    (seen,) = json.loads(run_here(tmp_path, "status", "toys", "--json").stdout)["sweeps"]
    quiet = [r["quiet_seconds"] for r in seen["running"]]
    assert quiet == [pytest.approx(10800, abs=300), pytest.approx(600, abs=300)]


def test_status_tells_of_all_sweeps_a_line_each_and_of_one_the_whole(store, tmp_path):
    for name in ("first", "second"):
        plan = planned(tmp_path, BUILT_IN.replace("toys", name), store)
    fail(store, plan.runs[0], "ValueError: wrong on purpose", "optimizer", times=3)
    done = run_here(tmp_path, "status")
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["first", "second"]
    whole = run_here(tmp_path, "status", "second").stdout
    assert "ptb-awd-lstm  adamw" in whole
    assert f"1 failed: ValueError: wrong on purpose ({plan.runs[0].id})" in whole
    assert "the optimizer's own error: correct the optimizer" in whole


def test_a_damaged_plan_hides_no_other_and_is_named(store, tmp_path):
    planned(tmp_path, BUILT_IN, store)
    (bad := store.root / "sweeps" / "bad").mkdir()
    (bad / "plan-0001.jsonl").write_text('{"name": "ba')
    done = run_here(tmp_path, "status")
    assert (done.returncode, done.stdout.count("\n")) == (4, 1)
    assert done.stdout.startswith("toys: 0/4 done")
    assert "bad/plan-0001.jsonl, line 1: truncated" in done.stderr


def test_what_others_wrote_into_a_store_cannot_move_the_cursor(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    end(store, plan.runs[0], reason="\x1b[2Jevil", trace="\x1b]0;title\x07", failure="task")
    RefusalLog(store, "toys").append(Refusal(run=plan.runs[1].id, why="\x1b[2J", host="a", time="2025-01-31T12:00:00Z"))
    told = run_here(tmp_path, "status", "toys").stdout + run_here(tmp_path, "logs", plan.runs[0].id).stdout
    assert told.count(r"\x1b[2Jevil") == 2
    assert told.count(r"refused: \x1b[2J") == 1
    assert "\x1b" not in told


def test_of_an_empty_store_nothing_is_shown(tmp_path):
    for words in (("status",), ("status", "--watch")):
        done = run_here(tmp_path, *words)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "no sweep was launched in store\n")
    assert json.loads(run_here(tmp_path, "status", "--json").stdout)["sweeps"] == []


def test_watching_a_sweep_that_nobody_works_on_ends(store, tmp_path):
    planned(tmp_path, BUILT_IN, store)
    done = run_here(tmp_path, "status", "toys", "--watch")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stderr.startswith("toys: 0/4 done")


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


def test_a_clock_that_disagrees_with_the_file_servers_is_named(store, tmp_path, monkeypatch, capsys):
    plan = planned(tmp_path, SWEEP, store)
    begin(store, plan.runs[0], owner=on_host("elsewhere"))
    now = time.time
    monkeypatch.setattr(time, "time", lambda: now() + 6 * 3600)
    assert main(["status", "toys", "--store", str(store.root)]) == 0
    assert "this machine's clock is 6.0 h ahead of that of" in capsys.readouterr().err
