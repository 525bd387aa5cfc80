"""Has the references of problems computed: what models that no optimizer trains score there. Imports no torch."""

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
from optathlon.suite.errors import Preempted
from optathlon.suite.identity import Problem, Run, digest, task_of
from optathlon.suite.readable import LINE, legible, said
from optathlon.suite.working.signals import listened_to
from optathlon.tasks import Task, TaskError
from optathlon.tasks.description import verified_references
from optathlon.tasks.registry import resolve

LIMIT_SECONDS = 900.0


def after(kind: str, store: Store, run: Run, data: Path, say: Callable[[str], None]) -> None:
    """`ensure` the references of the problem of `run`, which ended as `kind`, once it has its outcome."""
    if kind in ("finished", "diverged"):
        ensure(store, run.problem, data, say)


def of_plan(store: Store, plan: Plan, data: Path, say: Callable[[str], None]) -> None:
    """`ensure` the references of every problem of `plan`."""
    for problem in plan.head.problems.values():
        ensure(store, msgspec.convert(problem, Problem), data, say)


def ensure(store: Store, problem: Problem, data: Path, say: Callable[[str], None]) -> None:
    """Have the references of `problem` computed and stored, if its task has some and nobody did so before.

    It is said if that fails, and kept beside the results so that nobody tries in vain again; nothing is raised, and no
    run depends on it. A signal ends it, with nothing written, and so does LIMIT_SECONDS, as a failure.
    """
    task, start = task_of(problem.task), time.monotonic()
    if task.references is None:
        return
    try:
        with _ended_by_signals():
            if store.has_references(of_problem := digest(problem)):
                return
            found = _compute(task, problem, data)
            store.put_references(msgspec.structs.replace(found, problem=of_problem))
        how = f"{', '.join(found.models) or 'none'}, in {time.monotonic() - start:.1f} s"
        if found.error:
            how = f"{found.error} (in {task.references}; no run is affected)"
    except Preempted:
        how = "stopped; the next run of it computes them"
    except (OSError, StoreError) as error:
        how = f"could not be written: {error}"
    say(f"references of {task.name}: {how}")


def _compute(task: Task, problem: Problem, data: Path) -> References:
    """The references of `problem`, or why there are none."""
    nobody = References(problem="", task=task.name)
    try:
        scores = resolve(str(task.references))(problem.protocol, Path(data))
        models = verified_references(task, scores)
        if large := [name for values in models.values() for name, value in values.items() if not usable(value)]:
            raise TaskError(f"{large[0]} must be a finite number")
        return msgspec.structs.replace(nobody, models=models)
    except (Preempted, KeyboardInterrupt):
        raise
    except BaseException as error:  # a function from outside may raise anything
        reason = " ".join(f"{type(error).__name__}: {said(error)}".split())
        return msgspec.structs.replace(nobody, error=legible(reason, LINE))


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Preempted is raised in the block by the signals that stop a run, as nothing in it is worth waiting for, and
    TimeoutError after LIMIT_SECONDS."""

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
