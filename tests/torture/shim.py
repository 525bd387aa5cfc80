"""The preloaded library of shim.c: kills, errors and clocks at chosen file calls of a process."""

from __future__ import annotations

import ctypes
import enum
import errno
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("shim.c")
ROOT = Path(__file__).resolve().parent.parent.parent


class Action(enum.IntEnum):
    """What happens at the chosen call."""

    NOTHING, KILL, TEAR, FAIL, STOP = range(5)


CHANGES, ALL = 1, 3
"""Which calls are counted: those that change the disk, or reading ones too."""


@dataclass(frozen=True)
class Blow:
    """Something that happens at file call number `call` below a folder. lasting: and at each one after it."""

    action: Action
    call: int
    error: int = 0
    kinds: int = CHANGES
    lasting: bool = False

    def __str__(self) -> str:
        if self.action is not Action.FAIL:
            return f"{self.action.name} at call {self.call}"
        return f"{errno.errorcode[self.error]} {'from' if self.lasting else 'at'} call {self.call}"


def arm(folder: Path, blow: Blow) -> None:
    """From now on, calls below `folder` are counted in this process, and the chosen one is struck."""
    _library().torture_arm(
        os.fsencode(folder), blow.action, blow.kinds, ctypes.c_long(blow.call), blow.error, blow.lasting
    )


def disarm() -> int:
    """Strike no more; returns how many calls were counted."""
    return _library().torture_disarm()


def move_clock(seconds: int) -> None:
    """This process's wall clock is ahead of the machine's by so much from now on, as the file server's is not."""
    _library().torture_clock(ctypes.c_long(seconds))


def is_loaded() -> bool:
    return hasattr(ctypes.CDLL(None), "torture_arm")


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(None)
    library.torture_disarm.restype = ctypes.c_long
    return library


def start(*words: object, folder: Path, quiet: bool = True) -> subprocess.CompletedProcess[str]:
    """Run `python -m tests.torture WORDS` with the library, compiled into `folder`, preloaded. Not quiet: its standard
    error is this process's."""
    library = folder / "shim.so"
    compile_it = ["cc", "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"]
    subprocess.run(compile_it, check=True, capture_output=True)
    return subprocess.run(
        [sys.executable, "-m", "tests.torture", *map(str, words)],
        cwd=ROOT,
        env={**os.environ, "LD_PRELOAD": str(library), "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE if quiet else None,
        text=True,
        check=False,
    )
