"""What runs inside a Slurm job, in submitit's process: starts the job's own process, passes signals on, waits, and puts
the job back into the queue if it was told to stop before it was done."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from optathlon.slurm.cluster import PYTHON

AGAIN, IN_VAIN = 75, 76
VAIN_LIMIT = 3
SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
GOING_ON = ("RUNNING", "SIGNALING")


def run(argv: Sequence[str], environment: Mapping[str, str]) -> int:
    """Run `argv` and return its exit code: 0, 75 (saved, to be continued) or 76 (stopped before it got anywhere, which
    is continued twice on end); leave with any other.

    Slurm says SIGUSR2 before the time limit and, where the site wants it, before a preemption; SIGTERM when it cancels,
    preempts or requeues, and after KillWait SIGKILL. Both are passed on, so that the process saves and ends. submitit's
    own handlers are replaced: they would write pickles while the process is being killed, and count what is a
    preemption as a timeout (facebookincubator/submitit#1656, #1732).
    """
    told: list[int] = []

    def forward(number: int, _: object) -> None:
        told.append(number)
        process.send_signal(number)

    # The process inherits the mask: a signal that comes before it listens waits until it does.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    words = [sys.executable if word == PYTHON else word for word in argv]
    process = subprocess.Popen(words, env={**os.environ, **environment})
    for number in SIGNALS:
        signal.signal(number, forward)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    code = process.wait()
    if code != IN_VAIN:
        Path(f"in-vain-{_name()}").unlink(missing_ok=True)
    if told and code and os.environ.get("SLURM_PROCID", "0") == "0":
        if code == IN_VAIN and _vain() >= VAIN_LIMIT:
            say(f"stopped {VAIN_LIMIT} times before anything got on: not requeued; is the time limit too short?")
        else:
            requeue(warned=signal.SIGUSR2 in told)
    elif code not in (0, AGAIN, IN_VAIN) and not told:
        sys.exit(code if code > 0 else 128 - code)
    return code


def requeue(warned: bool) -> None:
    """Put this job back into the queue, unless Slurm is ending it: then it was cancelled, or Slurm requeues it itself.

    warned: by SIGUSR2, which says that the job has to end although nobody has ended it yet.
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
    """What Slurm calls this copy; by its number alone, one copy is the whole array."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}" if array else os.environ["SLURM_JOB_ID"]


def _vain() -> int:
    """How often on end, with this time, the job was stopped in vain; its folder remembers."""
    with Path(f"in-vain-{_name()}").open("ab") as file:
        file.write(b".")
        return file.tell()


def _ask(*words: str) -> str | None:
    """What a command prints; None if it fails."""
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
