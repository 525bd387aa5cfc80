"""The signals by which Slurm asks a job's process to stop, and the exit codes with which the process answers."""

from __future__ import annotations

import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
"""SIGUSR2 comes before the time limit and, where a site wants it, before a preemption; SIGTERM when Slurm ends the
job."""

PREEMPTED = 75
"""Exit code: stopped with everything saved; the job is to be started again (EX_TEMPFAIL of sysexits.h)."""

IN_VAIN = 76
"""Exit code: as PREEMPTED, but no run has made progress since the start. A job that ends so again and again is not
requeued for ever."""
