"""A benchmark suite for deep-learning optimizers.

What people use from Python stands here, and is imported when it is asked for: update rules, what describes a task or an
optimizer, and `read`, which gives the results of a store as DataFrames. Names that do not stand here may move.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from optathlon.optimizers.errors import OptimizerError
    from optathlon.optimizers.rules.adabound import AdaBound
    from optathlon.optimizers.rules.adam_sgd import AdamSGD
    from optathlon.optimizers.rules.adamp import AdamP
    from optathlon.optimizers.rules.adarem import AdaRem
    from optathlon.optimizers.rules.adarem_s import AdaRemS
    from optathlon.optimizers.rules.grassmann import SGDG, AdamG
    from optathlon.optimizers.rules.lookahead import Lookahead, SlowWeights
    from optathlon.optimizers.rules.muon import Muon
    from optathlon.optimizers.rules.nt_asgd import NTASGD
    from optathlon.optimizers.rules.rmsprop_tf import RMSpropTF
    from optathlon.optimizers.rules.sam import SAM, Sharpness
    from optathlon.optimizers.rules.sgdp import SGDP
    from optathlon.optimizers.rules.soap import SOAP
    from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec
    from optathlon.results.data_frames import Results, read
    from optathlon.results.errors import StoreError
    from optathlon.tasks import randomness
    from optathlon.tasks.data import loading
    from optathlon.tasks.data.dataset import Dataset, Source
    from optathlon.tasks.errors import DataError, TaskError
    from optathlon.tasks.schedule import (
        Constant,
        Cosine,
        CosineWithCooldown,
        Linear,
        MultiStep,
        Piecewise,
        Schedule,
        Step,
    )
    from optathlon.tasks.task import Metric, Protocol, Select, Task
    from optathlon.tasks.workload import Batch, Workload

    __version__: str

__all__ = [
    "NTASGD",
    "SAM",
    "SGDG",
    "SGDP",
    "SOAP",
    "AdaBound",
    "AdaRem",
    "AdaRemS",
    "AdamG",
    "AdamP",
    "AdamSGD",
    "Batch",
    "Constant",
    "Cosine",
    "CosineWithCooldown",
    "DataError",
    "Dataset",
    "Hyperparameter",
    "Linear",
    "Lookahead",
    "Metric",
    "MultiStep",
    "Muon",
    "OptimizerError",
    "OptimizerSpec",
    "Piecewise",
    "Protocol",
    "RMSpropTF",
    "Results",
    "Schedule",
    "Select",
    "Sharpness",
    "SlowWeights",
    "Source",
    "Step",
    "StoreError",
    "Task",
    "TaskError",
    "Workload",
    "__version__",
    "loading",
    "randomness",
    "read",
]
_RULES = {
    "adabound": ("AdaBound",),
    "adam_sgd": ("AdamSGD",),
    "adamp": ("AdamP",),
    "adarem": ("AdaRem",),
    "adarem_s": ("AdaRemS",),
    "grassmann": ("AdamG", "SGDG"),
    "lookahead": ("Lookahead", "SlowWeights"),
    "muon": ("Muon",),
    "nt_asgd": ("NTASGD",),
    "rmsprop_tf": ("RMSpropTF",),
    "sam": ("SAM", "Sharpness"),
    "sgdp": ("SGDP",),
    "soap": ("SOAP",),
}
_NAMES = {f"optimizers.rules.{file}": names for file, names in _RULES.items()} | {
    "optimizers.errors": ("OptimizerError",),
    "optimizers.spec": ("Hyperparameter", "OptimizerSpec"),
    "results.data_frames": ("Results", "read"),
    "results.errors": ("StoreError",),
    "tasks.data.dataset": ("Dataset", "Source"),
    "tasks.errors": ("DataError", "TaskError"),
    "tasks.schedule": (
        "Constant",
        "Cosine",
        "CosineWithCooldown",
        "Linear",
        "MultiStep",
        "Piecewise",
        "Schedule",
        "Step",
    ),
    "tasks.task": ("Metric", "Protocol", "Select", "Task"),
    "tasks.workload": ("Batch", "Workload"),
}
_MODULE_OF = {name: module for module, names in _NAMES.items() for name in names}
_MODULES = {"loading": "tasks.data.loading", "randomness": "tasks.randomness"}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from optathlon.suite.code import version

        value = version()
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{_MODULES[name]}")
    elif name in _MODULE_OF:
        value = getattr(importlib.import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*__all__, *(name for name in globals() if name.startswith("__"))})
