"""What submitit's process does in a job: signals are passed on, the exit code decides what becomes of the job."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import wait_for

ROOT = Path(__file__).resolve().parents[2]
STEP = "import sys; from optathlon.slurm.step import run; sys.exit(run(sys.argv[1:], {'GIVEN': 'yes'}))"
# Listens late, once the signal is there: it must have waited for that.
WORKER = """
import os, signal, sys, time
told = []
open("there", "w").close()
while not signal.sigpending():
    time.sleep(0.01)
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, lambda n, _: told.append(n))
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGUSR2))
while not told:
    time.sleep(0.01)
open("told", "a").write(signal.Signals(told[0]).name)
sys.exit(int(sys.argv[1]))
"""


@pytest.fixture
def step(tmp_path):
    """Runs a worker in a made-up job whose squeue gives `state`; tells it a signal; returns exit code and requeues."""
    commands = tmp_path / "bin"
    commands.mkdir()

    def run(code: int, number: signal.Signals, state: str, rank: int = 0, requeue: str = "exit 0"):
        for name, text in {"squeue": f"echo {state}", "scontrol": f'echo "$@" >> requeues; {requeue}'}.items():
            (commands / name).write_text(f"#!/bin/sh\n{text}\n")
            (commands / name).chmod(0o755)
        (tmp_path / "there").unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", STEP, "{python}", "-S", "-c", WORKER, str(code)],
            cwd=tmp_path,
            env={
                "PATH": f"{commands}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "SLURM_JOB_ID": "9",
                "SLURM_ARRAY_JOB_ID": "7",
                "SLURM_ARRAY_TASK_ID": "2",
                "SLURM_PROCID": str(rank),
            },
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_for((tmp_path / "there").exists)
        process.send_signal(number)
        told = process.communicate()[1]
        requeues = tmp_path / "requeues"
        return process.returncode, requeues.read_text().split("\n")[:-1] if requeues.exists() else [], told

    return run


def test_told_before_the_time_limit_it_is_requeued_by_its_array_and_index(step, tmp_path):
    assert step(75, signal.SIGUSR2, "RUNNING")[:2] == (75, ["requeue 7_2"])
    assert (tmp_path / "told").read_text() == "SIGUSR2", "the signal did not wait until the worker listened"


@pytest.mark.parametrize("state", ["COMPLETING", "PENDING", "CANCELLED"])
def test_what_slurm_is_ending_itself_is_left_to_it(step, state):
    assert step(75, signal.SIGTERM, state)[:2] == (75, [])


def test_a_warning_before_a_preemption_is_an_end(step):
    assert step(75, signal.SIGTERM, "RUNNING")[:2] == (75, ["requeue 7_2"])


def test_what_was_done_in_time_is_not_requeued(step):
    assert step(0, signal.SIGUSR2, "RUNNING")[:2] == (0, [])


def test_only_the_first_process_of_a_run_requeues(step):
    assert step(75, signal.SIGUSR2, "RUNNING", rank=1)[:2] == (75, [])


def test_where_jobs_cannot_be_requeued_it_says_what_to_do(step):
    code, _, told = step(75, signal.SIGUSR2, "RUNNING", requeue="echo disabled >&2; exit 1")
    assert code == 75
    assert "scontrol: disabled" in told
    assert "could not be requeued; `optathlon launch` goes on where it stopped" in told


def test_stopped_three_times_in_vain_it_is_left(step):
    assert len(step(76, signal.SIGUSR2, "RUNNING")[1]) == 1
    assert len(step(76, signal.SIGUSR2, "RUNNING")[1]) == 2
    assert len(step(75, signal.SIGUSR2, "RUNNING")[1]) == 3, "it got on"
    assert len(step(76, signal.SIGUSR2, "RUNNING")[1]) == 4
    assert len(step(76, signal.SIGUSR2, "RUNNING")[1]) == 5
    _, requeues, told = step(76, signal.SIGUSR2, "RUNNING")
    assert len(requeues) == 5
    assert "is the time limit too short?" in told


def test_a_worker_that_fails_fails_the_job(tmp_path):
    words = [
        sys.executable,
        "-c",
        STEP,
        "{python}",
        "-S",
        "-c",
        "import os, sys; sys.exit(os.environ['GIVEN'] == 'yes')",
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SLURM_JOB_ID": "9"}
    done = subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
