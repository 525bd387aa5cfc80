"""Why a run must not be carried out on this machine. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.training.place import unshareable
from optathlon.tasks.data.dataset import edition

REMEDY = "launch the sweep again"


def refusal(run: Run, data: Path, world: int = 1) -> str | None:
    """Returns why this machine must not carry out `run` on `world` processes, or None if it may.

    It must not if code or data are others than it was planned with, or if its updates cannot be shared.
    """
    task, spec = task_of(run.problem.task), optimizer_of(run.setting.optimizer)
    if task.version != run.problem.version:
        return f"task {task.name} is version {task.version} here, planned was {run.problem.version}; {REMEDY}"
    if spec.version != run.setting.version:
        return f"optimizer {spec.name} is version {spec.version} here, planned was {run.setting.version}; {REMEDY}"
    for name, planned in run.problem.data.items():
        if (here := edition(data, name)) != planned:
            return f"data set {name} in {data} is edition {here}, planned was {planned}; {REMEDY}"
    return unshareable(run.protocol, world)


def refusal_or_error(run: Run, data: Path, world: int = 1) -> str | None:
    """As `refusal`; an error on the way is a reason too, as what is wrong with one run must stop no other."""
    try:
        return refusal(run, data, world)
    except Exception as error:
        return f"{type(error).__name__}: {error}"
