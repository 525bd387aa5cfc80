"""Finds the run that a user means, by the beginning of its id or by its label."""

from __future__ import annotations

import re
from pathlib import Path

from optathlon.results import Store, StoreError
from optathlon.results.hyperparameter_text import short
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import hyperparameters
from optathlon.results.store.files import names
from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring.status import label

SHOWN = 8


def run(store: Store, given: str) -> str:
    """The id of the run that `given` means: its id or four or more first digits of it, or its label task/row/s0.

    Raises UsageError if that is no run of the store, or several.
    """
    planned = _planned(store)
    if re.fullmatch(r"[0-9a-f]{4,16}", given):
        found = {i: "" for i in sorted(known(store) | planned.keys()) if i.startswith(given)}
    elif given.count("/") >= 2:
        found = {i: _settings(plan, run) for i, (plan, run) in planned.items() if label(run) == given}
    else:
        raise UsageError(f"{given!r} is no run: give four or more first digits of its id, or its label task/row/s0")
    if not found:
        raise UsageError(f"{given!r}: there is no such run in {store.root}; `optathlon status SWEEP` names some")
    if len(found) > 1:
        some = "; ".join(f"{i} {text}".rstrip() for i, text in list(found.items())[:SHOWN])
        more = "; ..." if len(found) > SHOWN else ""
        raise UsageError(f"{given!r} is {len(found)} runs, say which by its id: {some}{more}")
    return next(iter(found))


def known(store: Store) -> set[str]:
    """Ids of all runs that were ever started in `store`, or have an outcome there."""
    started = {name for shard in names(store.root / "work") for name in names(store.root / "work" / shard)}
    return started | store.finished()


def sweep_of(store: Store, run_id: str) -> tuple[Plan, PlannedRun] | None:
    """The newest plan that a run stands in, and its line there; None if it was carried out by itself."""
    return _planned(store).get(run_id)


def job_folders(store: Store, name: str) -> list[Path]:
    """Where the jobs of sweep `name` wrote, as its submissions say, oldest first; nothing that is not below jobs/."""
    found, root = [], (store.root / "jobs").resolve()
    for submission in store.submissions(name):
        jobs = submission.get("jobs")
        for job in (submission, *(jobs if isinstance(jobs, list) else ())):
            if isinstance(job, dict) and isinstance(job.get("folder"), str):
                folder = (store.root / job["folder"]).resolve()
                if root in folder.parents and folder.is_dir():
                    found.append(folder)
    return found


def _planned(store: Store) -> dict[str, tuple[Plan, PlannedRun]]:
    found: dict[str, tuple[Plan, PlannedRun]] = {}
    for name in store.plan_names():
        try:
            plan = store.plan(name)
        except StoreError:  # a damaged plan hides no run of another
            continue
        found |= {run.id: (plan, run) for run in plan.runs}
    return found


def _settings(plan: Plan, run: PlannedRun) -> str:
    values = hyperparameters(plan.head.settings[run.setting])
    return f"({run.role}, {', '.join(f'{key}={short(value)}' for key, value in values.items())})"
