"""What `logs` shows of a run: its attempts and the log of its job; to a terminal harmless, to a pipe as it is."""

from __future__ import annotations

import json
import subprocess

import pytest

from optathlon.results import Store
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.suite.monitoring import find_run
from tests.suite.commands.in_process import run_here
from tests.suite.stories import begin, end, planned
from tests.suite.sweeps import SWEEP, command, environment, optathlon, write
from tests.suite.terminal import Screen
from tests.waiting import wait_for

BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")
HOSTILE = "clears \x1b[2J\x1b[H and renames \x1b]0;root\x07 the terminal, goes back\rover this, and is ü\n"


@pytest.fixture
def run(tmp_path):
    """The id of a run whose log has control characters."""
    store = Store(tmp_path / "store")
    run = planned(tmp_path, BUILT_IN, store).runs[0]
    store.log(begin(store, run)).write_text(HOSTILE)
    return run.id


def test_on_a_terminal_control_characters_of_a_log_are_spelled_out(run, tmp_path):
    shown = Screen(tmp_path, "logs", run).text
    assert r"clears \x1b[2J\x1b[H and renames \x1b]0;root\x07 the terminal, goes back" in shown
    assert "\r\nover this, and is ü\r\n" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_into_a_pipe_a_log_goes_as_it_is(run, tmp_path):
    done = subprocess.run(command("logs", run), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, check=True)
    assert HOSTILE.encode() in done.stdout


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_logs_tells_each_attempt_its_traceback_and_the_end_of_its_log(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    run = plan.runs[0]
    trace = "Traceback (most recent call last):\n  File x\nValueError: wrong"
    end(store, run, reason="ValueError: wrong", failure="task", trace=trace, ended="2025-01-31T12:00:00Z")
    assert f"run {run.id} failed, and is tried again" in run_here(tmp_path, "logs", run.id).stderr
    attempt = begin(store, run)
    store.log(attempt).write_text("\n".join(f"line {n}" for n in range(100)))
    shown = run_here(tmp_path, "logs", run.id[:8])
    assert trace in shown.stdout
    assert "attempt 2" in shown.stdout
    assert "line 80\n" in shown.stdout
    assert "line 79\n" not in shown.stdout
    whole = run_here(tmp_path, "logs", "ptb-awd-lstm/sgd/s0", "--attempt", "2").stdout
    assert "line 0\n" in whole
    assert trace not in whole
    document = json.loads(run_here(tmp_path, "logs", run.id, "--json").stdout)
    assert [a["number"] for a in document["attempts"]] == [1, 2]
    assert document["attempts"][0]["ended"]["trace"] == trace


def test_logs_of_what_never_began_says_so_and_who_refused_it(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    run = plan.runs[0]
    RefusalLog(store, "toys").append(Refusal(run=run.id, why="other data", host="node-1", time="2025-01-31T12:00:00Z"))
    told = run_here(tmp_path, "logs", run.id)
    assert told.returncode == 2
    assert "is waiting: it has no attempt" in told.stderr
    assert "a worker on node-1 refused it: other data" in told.stderr
    assert "no job of sweep toys has left a log" in run_here(tmp_path, "logs", run.id, "--job").stderr


def test_the_log_of_the_job_that_names_the_run_is_shown(store, tmp_path):
    plan = planned(tmp_path, BUILT_IN, store)
    for name, job in (("local", {"folder": "jobs/local"}), ("array", {"jobs": [{"folder": "jobs/array"}]})):
        store.put_submission("toys", {"plan": 1, "cluster": name, **job})
        (store.root / "jobs" / name).mkdir(parents=True)
    (store.root / "jobs" / "local" / "log.txt").write_text(f"sgd ({plan.runs[0].id}): ended\n")
    (store.root / "jobs" / "array" / "7_0_log.out").write_text(f"sgd ({plan.runs[1].id}): killed\n")
    assert "ended" in run_here(tmp_path, "logs", plan.runs[0].id, "--job").stdout
    killed = run_here(tmp_path, "logs", plan.runs[1].id, "--job").stdout
    assert "killed" in killed
    assert "ended" not in killed
    (log,) = json.loads(run_here(tmp_path, "logs", plan.runs[1].id, "--job", "--json").stdout)["logs"]
    assert log["path"].endswith("7_0_log.out")
    assert "killed" in log["text"]


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
