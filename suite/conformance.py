"""What `optathlon check` proves of a task: the kit of `tasks`, and exact resumption in the real training loop."""

from __future__ import annotations

from pathlib import Path

import msgspec
import torch

from optathlon.suite.identity import Run, optimizer_of
from optathlon.suite.planning.plan import problem_of, setting_of
from optathlon.suite.training.exact_resumption import goes_on_exactly_from_any_update
from optathlon.tasks import Protocol, Task
from optathlon.tasks.conformance import checks
from optathlon.tasks.conformance.kit import Kit


def check_task(task: Task, scale: str, protocol: Protocol, data: Path) -> checks.Card:
    """Returns the card of `task`, trained by `protocol`: the findings of the tasks' kit, then that of resumption."""
    torch.set_num_threads(1)
    card = checks.check(task, scale, protocol, data)
    name = checks.name_of(goes_on_exactly_from_any_update)
    if card.passed:
        kit, run = Kit.for_task(task, protocol, data), _run(task, scale, protocol, data)
        finding = checks.run_proof(name, lambda: goes_on_exactly_from_any_update(run, lambda: kit.build(seed=run.seed)))
    else:
        finding = checks.Finding(name, "skipped")
    return msgspec.structs.replace(card, findings=[*card.findings, finding])


def _run(task: Task, scale: str, protocol: Protocol, data: Path) -> Run:
    """Returns a run of the task by AdamW, which has a state that a resumed run must get back."""
    problem, spec = problem_of(task, scale, protocol, data), optimizer_of("adamw")
    setting = setting_of(problem, spec, spec.resolve({"lr": 1e-3}), spec.protocol)
    return Run(problem=problem, setting=setting, seed=0)
