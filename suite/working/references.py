"""Computes the references of problems: the scores of models that no optimizer trains. Imports no torch."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import msgspec

from optathlon.results import Store, StoreError
from optathlon.results.plan import Plan
from optathlon.results.references import References
from optathlon.results.scores import usable
from optathlon.suite.error_text import LINE, legible, message_of
from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Problem, Run, digest, task_of
from optathlon.suite.working.signals import listened_to
from optathlon.tasks import Task, TaskError
from optathlon.tasks.description import verified_references
from optathlon.tasks.registry import resolve

LIMIT_SECONDS = 900.0
"""How long a task's function may take for the references of one problem."""


def ensure_after_outcome(kind: str, store: Store, run: Run, data: Path, say: Callable[[str], None]) -> None:
    """Computes the references of the problem of `run`, if `run`, which ended as `kind`, has its outcome."""
    if kind in ("finished", "diverged"):
        ensure(store, run.problem, data, say)


def ensure_of_plan(store: Store, plan: Plan, data: Path, say: Callable[[str], None]) -> None:
    """Computes the references of every problem of `plan`."""
    for problem in plan.head.problems.values():
        ensure(store, msgspec.convert(problem, Problem), data, say)


def ensure(store: Store, problem: Problem, data: Path, say: Callable[[str], None]) -> None:
    """Computes and stores the references of `problem`, if its task has some and nobody did so before.

    Raises nothing, as no run depends on it. A failure is said, and stored in their place so that nobody tries in vain
    again; LIMIT_SECONDS are one. A signal ends it with nothing written.
    """
    task, start = task_of(problem.task), time.monotonic()
    if task.references is None:
        return
    try:
        with _ended_by_signals():
            if store.has_references(problem_digest := digest(problem)):
                return
            references = _compute(task, problem, data)
            store.put_references(msgspec.structs.replace(references, problem=problem_digest))
        message = f"{', '.join(references.models) or 'none'}, in {time.monotonic() - start:.1f} s"
        if references.error:
            message = f"{references.error} (in {task.references}; no run is affected)"
    except Preempted:
        message = "stopped; the next run of it computes them"
    except (OSError, StoreError) as error:
        message = f"could not be written: {error}"
    say(f"references of {task.name}: {message}")


def _compute(task: Task, problem: Problem, data: Path) -> References:
    """Returns the references of `problem`, or why there are none; the caller fills in the problem's digest."""
    empty = References(problem="", task=task.name)
    try:
        scores = resolve(str(task.references))(problem.protocol, Path(data))
        models = verified_references(task, scores)
        if large := [name for values in models.values() for name, value in values.items() if not usable(value)]:
            raise TaskError(f"{large[0]} must be a finite number")
        return msgspec.structs.replace(empty, models=models)
    except (Preempted, KeyboardInterrupt):
        raise
    except BaseException as error:  # a function from outside may raise anything
        reason = " ".join(f"{type(error).__name__}: {message_of(error)}".split())
        return msgspec.structs.replace(empty, error=legible(reason, LINE))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Raises in the block Preempted at a signal that stops runs, and TimeoutError after LIMIT_SECONDS.

    Elsewhere a signal sets a flag, so that a run saves its state; here there is no state to save.
    """

    def stop(number: int, _: object) -> NoReturn:
        if number == signal.SIGALRM:
            raise TimeoutError(f"not done after {LIMIT_SECONDS:.0f} s")
        raise Preempted(signal.Signals(number).name)

    before = {number: signal.signal(number, stop) for number in (*listened_to(), signal.SIGALRM)}
    timer = signal.setitimer(signal.ITIMER_REAL, LIMIT_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, *timer)
        for number, handler in before.items():
            signal.signal(number, handler)
