"""Where and with what a run was made: recorded beside the outcome, never part of the run's identity."""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import resource
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from results.files import utc
from results.record import Attempt

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("suite", "tasks", "optimizers", "slurm", "results")


def of(attempt: Attempt, device: torch.device, data_workers: int, clock: dict[str, float]) -> dict[str, Any]:
    """What there is to say about this process and attempt."""
    return {
        "attempt": attempt.number,
        "started": attempt.created,
        "ended": utc(),
        "clock": clock,
        "job": attempt.owner.job,
        "code": code(),
        "machine": {
            "host": platform.node(),
            "cpu": _cpu(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "data_workers": data_workers,
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "cuda": torch.version.cuda if device.type == "cuda" else None,
        },
    }


@functools.cache
def code() -> dict[str, Any]:
    """The version, the digest of every Python file of the five rooms, and the commit where there is one."""
    hashed = hashlib.sha256()
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            hashed.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return {"version": version(), "tree": hashed.hexdigest()[:16], "commit": _commit()}


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


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return f"{platform.machine()} ({sys.platform})"
