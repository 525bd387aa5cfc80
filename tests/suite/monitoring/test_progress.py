"""Who tells how runs get on is ended by no terminal."""

from __future__ import annotations

import os
import pty
import sys

from optathlon.suite.console import say
from optathlon.suite.monitoring.progress import Teller


def test_a_terminal_that_was_closed_ends_nobody_who_writes_to_it(monkeypatch):
    """A foreground run, say, which is about to be told so, and has its state to save."""
    outer, inner = pty.openpty()
    with os.fdopen(inner, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        teller = Teller()
        teller.tell("run: 50%, update 8")
        os.close(outer)
        teller.tell("run: 51%, update 9")
        teller.close()
        say("stopped")
