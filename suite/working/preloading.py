"""Imports before forking: a child shares its parent's modules, and importing torch takes seconds and 300 MB."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable

from optathlon.suite.identity import optimizer_of, task_of

# torch._dynamo is wanted by every torch optimizer, torch.utils.data by every workload.
MODULES = ("torch", "torch._dynamo", "torch.utils.data", "optathlon.suite.working.job")


def preload(tasks: Iterable[str], optimizers: Iterable[str], say: Callable[[str], None]) -> None:
    """Imports what the forked processes of runs of `tasks` and `optimizers` need.

    A task or optimizer that cannot be imported is told to `say`: it fails again, on record, in the runs that need it.
    """
    for module in MODULES:
        importlib.import_module(module)
    for name in tasks:
        _import(name, lambda name: task_of(name).workload, say)
    for name in optimizers:
        _import(name, lambda name: optimizer_of(name).factory, say)


def _import(name: str, path: Callable[[str], str], say: Callable[[str], None]) -> None:
    try:
        importlib.import_module(path(name).partition(":")[0])
    except Exception as error:
        say(f"{name} cannot be imported: {type(error).__name__}: {error}")
