"""What the suite's tests share: a folder with the toy task and a sweep, and the command line in its own process."""

from __future__ import annotations

import atexit
import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.suite import command_server
from tests.waiting import wait_for

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

SWEEP = """
name = "toys"
scale = "smoke"
tasks = ["toy:TASK"]
seeds = [0, 1]

[[optimizer]]
name = "sgd"
fixed.lr = 0.1
fixed.momentum = 0.9

[[optimizer]]
name = "adamw"
fixed.lr = 1e-2
"""

TUNED = SWEEP.replace("seeds = [0, 1]", "seeds = {tune = [0], report = [1, 2]}").replace(
    "fixed.lr = 0.1", "grid.lr = [0.1, 0.2]"
)
"""The same with rates to choose from."""


def write(folder: Path, text: str = SWEEP, name: str = "sweep.toml") -> Path:
    """A sweep file in `folder`, with the toy task beside it."""
    shutil.copy(HERE / "toy.py", folder / "toy.py")
    (folder / name).write_text(text)
    return folder / name


@functools.cache
def own_slots() -> str:
    """A folder for temporary files, in which this process's workers lock slots that nobody else's work can hold."""
    folder = tempfile.mkdtemp(prefix="optathlon-tests-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


def environment(**more: str) -> dict[str, str]:
    """For processes that run the suite from this tree, with the bytecode cache that makes them quick."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("OPTATHLON_", "PYTHONDONTWRITE"))}
    kept["OPTATHLON_SLOTS"] = os.environ["OPTATHLON_SLOTS"]
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    return {**kept, "PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TMPDIR": own_slots(), **more}


def command(*words: object) -> list[str]:
    return [sys.executable, "-P", "-m", "optathlon", *map(str, words)]


def wait_until_in_a_run(folder: Path) -> None:
    """Waits until a run in the store of `folder` is in training, and so listens to signals."""
    wait_for(lambda: any(path.stat().st_size for path in (folder / "store").rglob("events-*.jsonl")))


def optathlon(folder: Path, *words: object, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in `folder` to its end."""
    if any(name.startswith(command_server.READ_AT_IMPORT) for name in more):
        return subprocess.run(
            command(*words),
            cwd=folder,
            env=environment(**more),
            capture_output=True,
            text=True,
            check=False,
        )
    return command_server.run([*map(str, words)], folder, environment(**more))


def document(done: subprocess.CompletedProcess[str]) -> dict:
    """What a command with --json printed."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
