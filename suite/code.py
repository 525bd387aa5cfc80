"""The code that runs: its version, a digest of all its files, and its commit where there is one. Imports no torch."""

from __future__ import annotations

import functools
import hashlib
import os
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("suite", "tasks", "optimizers", "slurm", "results")
SUBMITTED_TREE = "OPTATHLON_SUBMITTED_TREE"
"""The variable in which a worker is given the tree of the code that launched it."""


@functools.cache
def code() -> dict[str, Any]:
    """Returns the version, the tree (a digest of every Python file of the rooms), and the commit, None without one."""
    hashed = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            hashed.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return {"version": version(), "tree": hashed.hexdigest()[:16], "commit": _commit()}


def changed() -> str | None:
    """Returns a warning if the code has changed since this worker was submitted; None if not, or if it was not."""
    submitted, running = os.environ.get(SUBMITTED_TREE), code()["tree"]
    if submitted in (None, "", running):
        return None
    return f"the code has changed since it was submitted: tree {submitted} then, {running} now; records hold both"


def version() -> str:
    try:
        return metadata.version("optathlon")
    except metadata.PackageNotFoundError:
        return "uninstalled"


def _commit() -> str | None:
    if not (ROOT / ".git").exists():
        return None
    try:
        asked = subprocess.run(
            ["git", "-C", str(ROOT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except OSError:  # no git here
        return None
    return asked.stdout.strip() or None
