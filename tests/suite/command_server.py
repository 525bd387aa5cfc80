"""Runs commands for tests in processes of their own, forked from one that has imported torch, pandas and them already.

Each is a process as a user starts it, but for the seconds that the imports take. As a script it is that one process.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

PATIENCE = 900.0
"""Seconds. Only a command that hangs takes so long."""

READ_AT_IMPORT = ("PYTHON", "TORCH", "CUDA", "LD_", "LC_", "LANG", "OMP_", "MPL")
"""Beginnings of variables that a process which has imported torch heeds no more."""


def run(words: Sequence[str], folder: Path, environment: Mapping[str, str], seconds: float = PATIENCE):
    """The end of `optathlon WORDS` in `folder`, as subprocess.run tells it."""
    return _ended({"words": list(words)}, folder, environment, seconds)


def run_code(code: str, folder: Path, environment: Mapping[str, str], seconds: float = PATIENCE):
    """The end of `python -c CODE` in `folder`, as subprocess.run tells it."""
    return _ended({"words": [], "code": code}, folder, environment, seconds)


def _ended(work: Mapping, folder: Path, environment: Mapping[str, str], seconds: float):
    with tempfile.TemporaryDirectory() as outputs:
        paths = [str(Path(outputs) / name) for name in ("stdout", "stderr")]
        request = {**work, "folder": str(folder), "environment": dict(environment), "to": paths}
        status = _server().order(request, seconds)
        stdout, stderr = (Path(path).read_text(encoding="utf-8") for path in paths)
    return subprocess.CompletedProcess(["optathlon", *work["words"]], status, stdout, stderr)


class Server:
    """The process that forks, and the pipes to it."""

    def __init__(self) -> None:
        root = str(Path(__file__).resolve().parents[2])
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("OPTATHLON_")}
        # The packages of a GPU kit lie on the path alone.
        path = os.pathsep.join(filter(None, (root, inherited.get("PYTHONPATH"))))
        self.process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            env={**inherited, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        atexit.register(self.end)

    def end(self) -> None:
        self.process.kill()
        self.process.wait()

    def order(self, order: Mapping[str, object], seconds: float) -> int:
        """The exit code of the process forked for `order`; TimeoutError after so many `seconds`."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        self.process.stdin.flush()
        if not select.select([self.process.stdout], [], [], seconds)[0]:
            _server.cache_clear()
            self.end()
            raise TimeoutError(f"not done after {seconds:.0f} s: {order['words']}")
        return int(self.process.stdout.readline())


@functools.cache
def _server() -> Server:
    return Server()


def _serve() -> None:
    import pandas  # noqa: F401
    import torch
    import torch._dynamo  # noqa: F401

    import optathlon.suite.main
    import optathlon.suite.working.execute
    from optathlon.suite.commands import COMMANDS

    for name in itertools.chain(*COMMANDS.values(), optathlon.suite.main.HIDDEN):
        importlib.import_module(f"optathlon.suite.commands.{name}")
    gc.freeze()
    answers = os.fdopen(os.dup(1), "w")
    for line in sys.stdin:
        order = json.loads(line)
        if (pid := os.fork()) == 0:
            answers.close()
            _become(order)
        status = os.waitpid(pid, 0)[1]
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)


def _become(order: Mapping) -> NoReturn:
    """Turns this process into the one that was ordered. It ends without tearing torch down, which takes a second."""
    from optathlon.suite.main import console

    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests themselves may run under nohup
    tempfile.tempdir = None  # what the process found in its own environment, if it asked
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(order["to"], start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND), number)
    sys.argv = ["optathlon", *order["words"]]
    code = 1
    try:
        if "code" in order:
            exec(compile(order["code"], "<code>", "exec"), {"__name__": "__main__"})
            code = 0
        else:
            console()
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve()
