"""`run` in the foreground, and the signals of its terminal."""

from __future__ import annotations

import os
import pty
import signal
import subprocess

import pytest

from optathlon.results import Store
from optathlon.slurm.signals import PREEMPTED
from tests.suite.sweeps import command, environment, optathlon, wait_until_in_a_run, write

WORDS = ("run", "toy:TASK", "sgd", "lr=0.1", "--scale", "smoke", "--device", "cpu")


def started(folder, hangup=signal.SIG_DFL, **how) -> subprocess.Popen:
    """A foreground run that is in training. hangup: what SIGHUP does to a process that says nothing of it; these tests
    themselves may run under nohup."""
    write(folder)
    process = subprocess.Popen(
        command(*WORDS),
        cwd=folder,
        env=environment(),
        preexec_fn=lambda: signal.signal(signal.SIGHUP, hangup),
        **how,
    )
    wait_until_in_a_run(folder)
    return process


def ending(folder):
    store = Store(folder / "store")
    (work,) = (folder / "store" / "work").glob("*/*")
    return store.endings(work.name)[1]


@pytest.mark.slow
@pytest.mark.parametrize("closed", [False, True], ids=["a signal", "a closed terminal"])
def test_a_run_that_loses_its_terminal_saves_and_goes_on_with_the_same_command(closed, tmp_path, hold):
    """SIGHUP alone, and with a terminal to which nothing can be written any more."""
    if closed:
        outer, inner = pty.openpty()
        process = started(tmp_path, stdin=inner, stdout=inner, stderr=inner, start_new_session=True)
        os.close(inner)
        os.close(outer)
    else:
        process = started(tmp_path, stderr=subprocess.DEVNULL)
    process.send_signal(signal.SIGHUP)
    assert process.wait() == PREEMPTED
    hold.unlink()
    assert ending(tmp_path).kind == "stopped"
    assert list((tmp_path / "store").rglob("checkpoint-*.pt"))
    done = optathlon(tmp_path, *WORDS)
    assert done.returncode == 0, done.stderr
    assert "goes on at update" in done.stderr


@pytest.mark.slow
def test_nohup_is_obeyed(tmp_path, hold):
    process = started(tmp_path, signal.SIG_IGN, stderr=subprocess.DEVNULL)
    process.send_signal(signal.SIGHUP)
    hold.unlink()
    assert process.wait() == 0
