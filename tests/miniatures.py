"""Miniatures for tests to read or to damage: each is made once per session of tests, and every asker gets a copy."""

from __future__ import annotations

import fcntl
import os
import shutil
from pathlib import Path

from optathlon import tasks
from optathlon.tasks.data.dataset import build


def put_miniatures(data: Path, *names: str) -> None:
    """Writes the miniatures of the data sets `names` into the data folder `data`, as `build` does."""
    for name in names:
        shutil.copytree(_original(name), data / name, symlinks=True, copy_function=shutil.copyfile)


def _original(name: str) -> Path:
    """Returns the miniature that the processes of this session share: nobody writes there."""
    folder = Path(os.environ["OPTATHLON_MINIATURES"]) / name
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        # One process makes it while the others wait; of one that was killed over it, the next begins anew.
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "made").exists():
            shutil.rmtree(folder / "data", ignore_errors=True)
            build(tasks.dataset(name), folder / "data", "miniature")
            (folder / "made").touch()
    return folder / "data" / name
