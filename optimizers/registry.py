"""Finds optimizers by name: the built-in catalog, entry points, and `module:Class` from outside."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import inspect
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from optathlon.optimizers.catalog.ours import CATALOG
from optathlon.optimizers.catalog.pytorch_optimizer import MODERN
from optathlon.optimizers.errors import OptimizerError, did_you_mean
from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec, load

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ENTRY_POINTS = "optathlon.optimizers"
_NOT_SETTABLE = {"self", "params", "foreach", "fused", "capturable", "differentiable", "maximize"}
_OLD_TORCH_REQUIRED = "<required parameter>"


@functools.cache
def _builtin() -> Mapping[str, OptimizerSpec]:
    return {spec.name: spec for spec in (*CATALOG, *MODERN)}


@functools.cache
def _entry_points() -> Mapping[str, EntryPoint]:
    # Only here, as it takes longer to import than the rest of this room.
    from importlib.metadata import entry_points

    return {e.name: e for e in entry_points(group=ENTRY_POINTS)}


def names(pattern: str = "*") -> list[str]:
    """Returns the names that match the wildcard `pattern`: the catalog's in its order, then those of entry points."""
    known = [*_builtin(), *(n for n in _entry_points() if n not in _builtin())]
    return [n for n in known if fnmatch.fnmatchcase(n, pattern)]


def is_built_in(name: str) -> bool:
    """Whether the optimizer called `name` is one of the suite's own, and of no entry point or module from outside."""
    return name in _builtin()


def optimizer(name: str) -> OptimizerSpec:
    """Returns the optimizer called `name`, or at `module:Class`; raises OptimizerError with a suggestion."""
    if name in _builtin():
        return _builtin()[name]
    if name in _entry_points():
        return _outside(_entry_points()[name].value, name)
    if ":" in name:
        return _outside(name, name)
    raise OptimizerError(f"unknown optimizer {name!r}{did_you_mean(name, names())}")


def _outside(path: str, name: str) -> OptimizerSpec:
    loaded = load(path)
    if isinstance(loaded, OptimizerSpec):
        return msgspec.structs.replace(loaded, name=name)
    if not inspect.isclass(loaded) or not callable(getattr(loaded, "step", None)):
        raise OptimizerError(f"{path}: is neither a torch.optim.Optimizer class nor an OptimizerSpec")
    return _from_class(loaded, path, name)


def _from_class(cls: type, path: str, name: str) -> OptimizerSpec:
    """Describes a class by its __init__: the keyword arguments, their defaults and annotations."""
    step = inspect.signature(cls.step).parameters.get("closure")
    needs_closure = step is not None and step.default is inspect.Parameter.empty
    return OptimizerSpec(
        name=name,
        factory=path,
        hyperparameters=_hyperparameters(cls, path),
        implementations=_implementations(cls),
        flags=frozenset({"closure"} if needs_closure else ()),
        summary=(cls.__doc__ or "").strip().partition("\n")[0],
        source=path,
        version=getattr(cls, "version", None) or _file_digest(cls, path),
    )


def _implementations(cls: type) -> tuple[str, ...]:
    has = inspect.signature(cls).parameters
    return ("loop", *(name for name in ("foreach", "fused") if name in has))


def _hyperparameters(cls: type, path: str) -> dict[str, Hyperparameter]:
    hints = _hints(cls)
    declared: dict[str, Hyperparameter] = {}
    for key, parameter in inspect.signature(cls).parameters.items():
        if key in _NOT_SETTABLE or parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        required = parameter.default is parameter.empty or repr(parameter.default) == _OLD_TORCH_REQUIRED
        default = None if required else parameter.default
        kind = _kind(default, hints.get(key)) or ("float" if key == "lr" else None)
        if kind is not None:
            declared[key] = Hyperparameter(kind, default, required)
        elif required:
            raise OptimizerError(
                f"{path}: cannot tell the type of {key}; give it a default, or point to an OptimizerSpec"
            )
    return declared


def _kind(default: Any, hint: Any) -> Any:
    """Returns the type name of a hyperparameter by its default or its annotation; None if it is no plain value.

    An integer 0 without an annotation is a float: `weight_decay=0` is what many optimizers write.
    """
    if isinstance(default, bool):
        return "bool"
    if isinstance(default, str):
        return "str"
    if isinstance(default, float):
        return "float" if math.isfinite(default) else None
    if isinstance(default, tuple | list):
        numbers = all(isinstance(v, int | float) and not isinstance(v, bool) for v in default)
        return "floats" if numbers else None
    members = set(typing.get_args(hint)) if typing.get_origin(hint) in (typing.Union, types.UnionType) else {hint}
    for python, kind in ((float, "float"), (bool, "bool"), (int, "int"), (str, "str")):
        if python in members:
            return kind
    if any(typing.get_origin(m) in (tuple, list) for m in members):
        return "floats"
    if isinstance(default, int):
        return "int" if default else "float"
    return None


def _hints(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls.__init__)
    except (NameError, TypeError, AttributeError):
        return {}


def _file_digest(cls: type, path: str) -> str:
    try:
        source = inspect.getsourcefile(cls)
    except TypeError:
        source = None
    if source is None:
        raise OptimizerError(f"{path}: has no source file to take a version from; give the class a `version`")
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16]
