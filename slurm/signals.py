"""What Slurm and a job's process tell each other: signals that ask it to stop, exit codes that it answers with."""

from __future__ import annotations

import signal

STOP_SIGNALS = (signal.SIGTERM, signal.SIGUSR2)
"""SIGUSR2 comes before the time limit or, where a site wants it, a preemption; SIGTERM when Slurm ends the job."""

PREEMPTED = 75
"""Exit code: stopped with everything saved; the job is to be started again. (EX_TEMPFAIL of sysexits.h.)"""

IN_VAIN = 76
"""Exit code: as PREEMPTED, but nothing got on since the start, so starting again for ever would help nobody."""
