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
"""How many runs a message names."""


def run(store: Store, word: str) -> str:
    """Returns the id of the run that `word` names: four or more first digits of its id, or its label task/row/s0.

    Raises UsageError if that is no run of the store, or several.
    """
    planned = _planned(store)
    if re.fullmatch(r"[0-9a-f]{4,16}", word):
        matches = {i: "" for i in sorted(known(store) | planned.keys()) if i.startswith(word)}
    elif word.count("/") >= 2:
        matches = {i: _settings(plan, run) for i, (plan, run) in planned.items() if label(run) == word}
    else:
        raise UsageError(f"{word!r} is no run: give four or more first digits of its id, or its label task/row/s0")
    if not matches:
        raise UsageError(f"{word!r}: there is no such run in {store.root}; `optathlon status SWEEP` names some")
    if len(matches) > 1:
        some = "; ".join(f"{i} {text}".rstrip() for i, text in list(matches.items())[:SHOWN])
        more = "; ..." if len(matches) > SHOWN else ""
        raise UsageError(f"{word!r} is {len(matches)} runs, say which by its id: {some}{more}")
    return next(iter(matches))


def known(store: Store) -> set[str]:
    """Returns the ids of all runs that were ever started in `store`, or have an outcome there."""
    started = {name for shard in names(store.root / "work") for name in names(store.root / "work" / shard)}
    return started | store.finished()


def sweep_of(store: Store, run_id: str) -> tuple[Plan, PlannedRun] | None:
    """Returns the newest plan that has the run, and its line there; None if it was carried out outside of any sweep."""
    return _planned(store).get(run_id)


def job_folders(store: Store, name: str) -> list[Path]:
    """Returns the folders of the jobs of sweep `name`, oldest first, as far as they exist.

    A submission may be damaged or a stranger's: what it names outside of the store's jobs/ is left out.
    """
    folders, root = [], (store.root / "jobs").resolve()
    for submission in store.submissions(name):
        jobs = submission.get("jobs")
        for job in (submission, *(jobs if isinstance(jobs, list) else ())):
            if isinstance(job, dict) and isinstance(job.get("folder"), str):
                folder = (store.root / job["folder"]).resolve()
                if root in folder.parents and folder.is_dir():
                    folders.append(folder)
    return folders


def _planned(store: Store) -> dict[str, tuple[Plan, PlannedRun]]:
    """Returns, by id, the newest plan of each run and its line there."""
    planned: dict[str, tuple[Plan, PlannedRun]] = {}
    for name in store.plan_names():
        try:
            plan = store.plan(name)
        except StoreError:  # a damaged plan hides no run of another
            continue
        planned |= {run.id: (plan, run) for run in plan.runs}
    return planned


def _settings(plan: Plan, run: PlannedRun) -> str:
    values = hyperparameters(plan.head.settings[run.setting])
    return f"({run.role}, {', '.join(f'{key}={short(value)}' for key, value in values.items())})"
