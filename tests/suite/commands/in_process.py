"""Commands run within the test process."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
from pathlib import Path
from unittest import mock

from optathlon.suite import main


def ran(capsys, *words):
    """Exit code, stdout and stderr of a command."""
    code = main._run(words[0], words[1:])
    out = capsys.readouterr()
    return code, out.out, out.err


def run_here(folder: Path, *words: object) -> subprocess.CompletedProcess[str]:
    """The end of `optathlon WORDS` in `folder`, a fifth of a second sooner than in a process of its own: for commands
    that train nothing and import nothing of the folder's."""
    out, err = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.dict(os.environ),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        for name in [name for name in os.environ if name.startswith("OPTATHLON_") and name != "OPTATHLON_SLOTS"]:
            del os.environ[name]
        code = main.main([*map(str, words)])
    return subprocess.CompletedProcess(["optathlon", *map(str, words)], code, out.getvalue(), err.getvalue())
