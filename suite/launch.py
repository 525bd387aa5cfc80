"""Makes reality match a sweep: writes its plan, and starts workers for what is missing."""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tasks
from results import Store
from results.files import put_new
from results.record import Plan
from slurm.cluster import Cluster, Job
from slurm.local import LocalCluster
from suite import status
from suite.plan import expand
from suite.sweep import Sweep
from tasks.data.dataset import require

HANDLE = "handle"


@dataclass(frozen=True)
class Launched:
    """What a launch found and did: the plan and its number, and how many runs are
    missing (0: nothing was started) or failed for good."""

    plan: Plan
    number: int
    missing: int
    failed: int
    total: int
    started: list[str]
    alive: list[str]
    log: Path | None


def launch(
    sweep: Sweep, store: Store, data: Path, *, slots: int | None = None, data_workers: int = 0, retry: bool = False
) -> Launched:
    """Write the plan of `sweep` if it is new and start a local worker, unless one is at work or nothing is missing.

    retry: let runs that failed for good be tried again. Raises SweepError for a sweep that cannot run and
    tasks.DataError for data that is not there, before anything is written.
    """
    plan = expand(sweep, data)
    seen = status.overview(store, plan)
    if retry and seen.counts["failed"]:
        for run in (run for _, runs in seen.errors for run in runs):
            store.retry(run)
        seen = status.overview(store, plan)
    missing = seen.left
    if missing:
        for name in dict.fromkeys(n for task in sweep.tasks for n in task.datasets):
            require(tasks.dataset(name), data)
    number = store.put_plan(plan, sweep.toml)
    cluster = LocalCluster()
    alive = live_workers(store, cluster, plan.head.name, number)
    started, log = [], None
    if missing and not alive:
        job = local_job(store, plan.head.name, number, data, Path(sweep.file).resolve().parent, slots, data_workers)
        where = job.folder.relative_to(store.root.resolve()).as_posix()
        store.put_submission(plan.head.name, {"plan": number, "cluster": "local", "folder": where, "runs": missing})
        started.append(cluster.submit(job))
        put_new(job.folder / HANDLE, started[0].encode())
        log = job.folder / "log.txt"
    return Launched(plan, number, missing, seen.counts["failed"], seen.total, started, alive, log)


def local_job(
    store: Store, name: str, number: int, data: Path, beside: Path, slots: int | None, data_workers: int
) -> Job:
    """The detached worker of plan `number` of sweep `name`."""
    folder = store.root.resolve() / "jobs" / _user() / f"{name}-{number:04d}-{secrets.token_hex(4)}"
    argv = [sys.executable, "-P", "-m", "suite", "work", name, str(number)]
    argv += ["--store", str(store.root.resolve()), "--data", str(Path(data).resolve()), "--beside", str(beside)]
    argv += ["--data-workers", str(data_workers)]
    if slots is not None:
        argv += ["--slots", str(slots)]
    return Job(tuple(argv), f"{name}-{number:04d}", folder)


def _user() -> str:
    """The caller's name as one folder; its number where it has none (a container's arbitrary user)."""
    try:
        return re.sub(r"[^A-Za-z0-9._-]", "_", getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def live_workers(store: Store, cluster: Cluster, name: str, number: int | None = None) -> list[str]:
    """Handles of this machine's workers of sweep `name` (of plan `number`) that are still there."""
    handles = []
    for submission in store.submissions(name):
        if submission.get("cluster") == "local" and number in (None, submission.get("plan")):
            with contextlib.suppress(OSError, UnicodeDecodeError):
                handles.append((store.root / str(submission.get("folder")) / HANDLE).read_text())
    return [handle for handle, state in cluster.states(handles).items() if state in ("pending", "running")]


def cancel(store: Store, name: str) -> list[str]:
    """Ask every worker of sweep `name` on this machine to stop, which lets its runs save; returns their handles."""
    cluster = LocalCluster()
    return cluster.cancel(live_workers(store, cluster, name))


def describe(launched: Launched) -> dict[str, Any]:
    """For --json."""
    return {
        "sweep": launched.plan.head.name,
        "plan": launched.number,
        "runs": launched.total,
        "missing": launched.missing,
        "failed": launched.failed,
        "started": launched.started,
        "alive": launched.alive,
    }
