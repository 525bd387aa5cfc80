"""What the command line tells a user, and with which exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

OK, FAILED, USAGE, INCOMPLETE, ENVIRONMENT, INTERRUPTED = 0, 1, 2, 3, 4, 130
"""The exit codes of the command line (docs/command-line.md); PREEMPTED, of slurm.signals, is one of `run` too."""


class UsageError(ValueError):
    """A command or a sweep file asks for what cannot be: exit code 2, nothing written."""


class SweepError(UsageError):
    """A sweep file is wrong; the message names file, field, value and remedy."""


class MachineError(RuntimeError):
    """This machine cannot do what was asked (no GPU, no room on the disk): exit code 4."""


class Preempted(Exception):  # noqa: N818
    """A signal asked the run to stop; its state is saved."""


MOST_NAMED = 40
"""More names than these are no help in one line."""


def hint(word: str, known: Iterable[str]) -> str:
    """Returns, in brackets, which `known` word the writer of `word` may have meant; else all, or what lists them."""
    known = list(known)
    if near := difflib.get_close_matches(word, known, n=1, cutoff=0.5):
        return f" (did you mean {near[0]}?)"
    return f" (known: {', '.join(known)})" if len(known) <= MOST_NAMED else " (see `optathlon list`)"
