"""Commands run within the test process."""

from __future__ import annotations

from optathlon.suite import main


def ran(capsys, *words):
    """Exit code, stdout and stderr of a command."""
    code = main._run(words[0], words[1:])
    out = capsys.readouterr()
    return code, out.out, out.err
