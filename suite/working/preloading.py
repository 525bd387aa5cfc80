"""Imports before forking: a child shares its parent's modules, and importing torch takes seconds and 300 MB."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable

from optathlon.optimizers.kernels import kernel_cache
from optathlon.optimizers.spec import OptimizerSpec, load
from optathlon.suite import user_sources
from optathlon.suite.identity import optimizer_of, task_of

# Every torch optimizer imports torch._dynamo, every workload torch.utils.data.
MODULES = ("torch", "torch._dynamo", "torch.utils.data", "optathlon.suite.working.job")


def preload(
    tasks: Iterable[str], optimizers: Iterable[str], say: Callable[[str], None], implementation: str = "auto"
) -> None:
    """Imports what the forked processes of runs of `tasks` and `optimizers` need, and compiles what they will call.

    A task or optimizer that cannot be imported is told to `say`: it fails again, on record, in the runs that need it.
    """
    for module in MODULES:
        importlib.import_module(module)
    for name in tasks:
        _import(name, lambda name: task_of(name).workload, user_sources.task_sources, say)
    remember = user_sources.optimizer_sources
    usable = [name for name in optimizers if _import(name, lambda name: optimizer_of(name).factory, remember, say)]
    prepare_kernels(map(optimizer_of, usable), implementation, say)


def prepare_kernels(specs: Iterable[OptimizerSpec], implementation: str, say: Callable[[str], None]) -> None:
    """Compiles the C++ kernels if they are not kept on this machine and an optimizer of `specs` will call them.

    Once here instead of in every child at its first step: they would all compile, or wait for the one that does.
    """
    if implementation not in ("auto", "fused"):
        return
    factories = [load(spec.factory) for spec in specs if "fused" in spec.implementations]
    if any(getattr(cls, "kernel_states", ()) for cls in factories) and (sentence := kernel_cache.prepare()):
        say(sentence)


def _import(
    name: str, path: Callable[[str], str], remember: Callable[[str], object], say: Callable[[str], None]
) -> bool:
    """Imports the module that `path` gives for `name`; returns whether that worked."""
    try:
        importlib.import_module(path(name).partition(":")[0])
        remember(name)  # its source as it is now, for a child that is forked after it was edited
        return True
    except Exception as error:
        say(f"{name} cannot be imported: {type(error).__name__}: {error}")
        return False
