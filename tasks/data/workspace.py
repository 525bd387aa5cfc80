"""Folders in which something is made before it gets its name, of which killed processes leave nothing for long."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def workspace(parent: Path, prefix: str) -> Iterator[Path]:
    """A new folder `parent`/`prefix`…, as open to others as `parent`; at the end it is removed if it still has that
    name. Those that a killed process left there are removed first.

    A folder is in use as long as somebody holds a lock on it, which ends with the process. Where the file system knows
    no locks, leftovers stay. OSError if `parent` cannot be written to.
    """
    for other in parent.glob(f"{prefix}*"):
        with suppress(OSError), _locked(other):
            shutil.rmtree(other, ignore_errors=True)
    work, handle = _own(parent, prefix)
    try:
        work.chmod(parent.stat().st_mode)
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)
        os.close(handle)


def _own(parent: Path, prefix: str) -> tuple[Path, int]:
    """A new folder and the handle that has it locked; before it is, somebody may take it for a leftover."""
    while True:
        work = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        with suppress(FileNotFoundError):
            handle = os.open(work, os.O_RDONLY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(handle)
                continue
            except OSError:  # no locks on this file system, so nobody removes it either
                return work, handle
            if work.exists():
                return work, handle
            os.close(handle)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """OSError if somebody else has it locked."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
