"""What the command line tells a user, and with which exit code."""

from __future__ import annotations

OK, FAILED, USAGE, INCOMPLETE, ENVIRONMENT, PREEMPTED, INTERRUPTED = 0, 1, 2, 3, 4, 75, 130


class UsageError(ValueError):
    """A command or a sweep file asks for what cannot be: exit code 2, nothing written."""


class SweepError(UsageError):
    """A sweep file is wrong; the message names file, field, value and remedy."""


class MachineError(RuntimeError):
    """This machine cannot do what was asked (no GPU, no room on the disk): exit code 4."""


class Preempted(Exception):  # noqa: N818
    """A signal asked the run to stop; its state is saved."""
