"""Runs inside a Slurm job, in submitit's process: starts the worker, passes signals on to it, waits for it, and
requeues the job if the worker was told to stop before it was done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from optathlon.slurm.cluster import PYTHON
from optathlon.slurm.signals import IN_VAIN, PREEMPTED, STOP_SIGNALS

VAIN_LIMIT = 3
"""A job that was stopped in vain so many times in a row is not requeued again."""

GOING_ON = ("RUNNING", "SIGNALING")
"""States of a job that nobody has ended yet."""


def run(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Runs `argv` and returns its exit code if that is 0, PREEMPTED or IN_VAIN; leaves this process with any other.

    Slurm sends SIGUSR2 before the time limit and, where the site wants it, before a preemption; SIGTERM when it
    cancels, preempts or requeues, and SIGKILL after KillWait. The first two are passed on, so that the process saves
    and ends. A job that was told to stop is requeued; one that stops in vain is requeued VAIN_LIMIT - 1 times in a row
    at most. submitit's own handlers are replaced: they would write pickles while the process is being killed, and count
    a preemption as a timeout (facebookincubator/submitit#1656, #1732).
    """
    received: list[int] = []

    def forward(number: int, _: object) -> None:
        received.append(number)
        process.send_signal(number)

    # The process inherits the blocked signals: one that comes before it listens waits until it does.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    words = [sys.executable if word == PYTHON else word for word in argv]
    process = subprocess.Popen(words, env={**os.environ, **environment})
    for number in STOP_SIGNALS:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = process.wait()
    if code != IN_VAIN:
        Path(f"in-vain-{_name()}").unlink(missing_ok=True)
    if received and code and os.environ.get("SLURM_PROCID", "0") == "0":
        if code == IN_VAIN and _count_in_vain() >= VAIN_LIMIT:
            say(f"stopped {VAIN_LIMIT} times before anything got on: not requeued; is the time limit too short?")
        else:
            requeue(warned=signal.SIGUSR2 in received)
    elif code not in (0, PREEMPTED, IN_VAIN) and not received:
        sys.exit(code if code > 0 else 128 - code)  # as a shell says it: 128 and the signal
    return code


def requeue(warned: bool) -> None:
    """Puts this job back into the queue, unless Slurm is ending it: then it was cancelled, or Slurm requeues it itself.

    warned: whether SIGUSR2 came, the notice before a time limit: the job is to end although nobody has ended it yet.
    """
    name = _name()
    state = _ask("squeue", "-h", "-j", name, "-o", "%T")
    if state not in GOING_ON and not (warned and state is None):
        say(f"job {name} is {state or 'unknown'}: Slurm decides whether it runs again")
    elif _ask("scontrol", "requeue", name) is None:
        say(f"job {name} could not be requeued; `optathlon launch` goes on where it stopped")
    else:
        say(f"job {name} is requeued")


def _name() -> str:
    """Returns Slurm's name of this copy. The job id alone would mean all copies of an array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _count_in_vain() -> int:
    """Counts this stop in vain in the job's folder; returns how many there are in a row."""
    with Path(f"in-vain-{_name()}").open("ab") as file:
        file.write(b".")
        return file.tell()


def _ask(*words: str) -> str | None:
    """Returns what a command prints, None if it fails, which is said."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=True)
    except subprocess.CalledProcessError as error:
        say(f"{words[0]}: {error.stderr.strip()}")
    except (OSError, subprocess.TimeoutExpired) as error:
        say(f"{words[0]}: {error}")
    else:
        return done.stdout.strip()
    return None


def say(message: str) -> None:
    print(message, file=sys.stderr, flush=True)
