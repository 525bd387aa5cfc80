"""Where and with what a run was made: recorded beside the outcome, never part of the run's identity."""

from __future__ import annotations

import os
import platform
import resource
import sys
from pathlib import Path
from typing import Any

import torch

from optathlon.results.record import Attempt
from optathlon.results.store.files import utc
from optathlon.suite.code import SUBMITTED_TREE, code
from optathlon.suite.training.team import ALONE, Team


def collect(
    attempt: Attempt,
    device: torch.device,
    data_workers: int,
    clock: dict[str, float],
    implementation: dict[str, Any],
    team: Team = ALONE,
) -> dict[str, Any]:
    """Returns what there is to say about this process and attempt, with the hosts of all processes in order of rank.

    implementation: how the optimizers were asked to step, and how many parameters of each player stepped how.
    """
    return {
        "attempt": attempt.number,
        "started": attempt.created,
        "ended": utc(),
        "clock": clock,
        "implementation": implementation,
        "job": attempt.owner.job,
        "code": {**code(), "submitted_tree": os.environ.get(SUBMITTED_TREE)},
        "machine": {
            "host": platform.node(),
            "cpu": _cpu(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": torch.get_num_threads(),
            "data_workers": data_workers,
            "processes": team.world,
            "hosts": list(team.hosts),
            "peak_rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1),
        },
        "versions": {
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "cuda": torch.version.cuda if device.type == "cuda" else None,
        },
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return f"{platform.machine()} ({sys.platform})"
