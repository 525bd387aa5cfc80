"""Finds tasks and data sets by name: the built-in families, entry points, and `module:NAME` from outside."""

from __future__ import annotations

import fnmatch
import functools
import hashlib
import importlib
import importlib.util
import inspect
import operator
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from optathlon.tasks.data import dataset as data
from optathlon.tasks.data.dataset import Dataset
from optathlon.tasks.description import verify, verify_selection
from optathlon.tasks.errors import TaskError, did_you_mean, kind, one_line, raised
from optathlon.tasks.task import Protocol, Task

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

FAMILIES = (
    "optathlon.tasks.rebias",
    "optathlon.tasks.cifar",
    "optathlon.tasks.language",
    "optathlon.tasks.audio",
    "optathlon.tasks.retrieval",
    "optathlon.tasks.coco",
    "optathlon.tasks.imagenet",
)
ENTRY_POINTS = "optathlon.tasks"


def resolve(path: str) -> Any:
    """The object at "package.module:NAME" or "package.module:Class.method"; TaskError if it is not there."""
    module, _, name = path.partition(":")
    try:
        return operator.attrgetter(name)(importlib.import_module(module))
    except ModuleNotFoundError as error:
        here = error.name == module.partition(".")[0]
        remedy = "; its file must lie in this folder or beside the sweep, or be installed" if here else ""
        raise TaskError(f"{path}: {error}{remedy}") from error
    except (ImportError, AttributeError, TaskError) as error:
        raise TaskError(f"{path}: {one_line(error)}") from error
    except (Exception, SystemExit) as error:  # a module from outside may raise anything
        raise TaskError(f"{path}: importing it raised {raised(error)}") from error


def call(path: str, *arguments: Any) -> Any:
    """What the function at `path` returns; TaskError says where it raised what is no TaskError."""
    function = resolve(path)
    try:
        return function(*arguments)
    except TaskError:
        raise
    except Exception as error:  # a function from outside may raise anything
        raise TaskError(f"{path} raised {raised(error, _file(path))}") from error


@functools.cache
def _builtin() -> Mapping[str, Task]:
    return {t.name: t for family in FAMILIES for t in importlib.import_module(family).TASKS}


@functools.cache
def _entry_points() -> Mapping[str, EntryPoint]:
    # Only here, as it takes longer to import than the rest of this room.
    from importlib.metadata import entry_points

    return {e.name: e for e in entry_points(group=ENTRY_POINTS)}


def names(pattern: str = "*") -> list[str]:
    """Every task name that matches the wildcard `pattern`, in order of the families."""
    known = [*_builtin(), *(n for n in _entry_points() if n not in _builtin())]
    return [n for n in known if fnmatch.fnmatchcase(n, pattern)]


def is_built_in(name: str) -> bool:
    """Whether the task called `name` is one of the suite's own, and of no entry point or module from outside."""
    return name in _builtin()


def task(name: str) -> Task:
    """The task called `name`, or at `module:NAME`; TaskError with a suggestion if there is none."""
    if name in _builtin():
        return _builtin()[name]
    if name in _entry_points():
        return _outside(_entry_points()[name].value, name)
    if ":" in name:
        return _outside(name, name)
    raise TaskError(f"unknown task {name!r}{did_you_mean(name, names())}")


def declared_name(name: str) -> str:
    """Returns the name that the task at `module:NAME` gives itself; of any other task, `name`."""
    return resolve(name).name if ":" in name else name


def check(task: Task, protocol: Protocol) -> None:
    """TaskError if `task` cannot run by `protocol`, whatever its data are: the one gate of plan, launch and run."""
    verify_selection(task, protocol)
    if task.check and call(task.check, protocol) is False:
        raise TaskError(f"{task.check} returned False; to refuse a protocol it must raise TaskError with the field")


def require(task: Task, protocol: Protocol, root: Path) -> None:
    """DataError unless all that `task` by `protocol` needs is below the data folder `root`: data sets, and `ready`."""
    for name in task.datasets:
        data.require(dataset(name), root)
    if task.ready:
        call(task.ready, protocol, root)


def _outside(path: str, name: str) -> Task:
    candidate = resolve(path)
    if not isinstance(candidate, Task):
        raise TaskError(f"{path}: is {kind(candidate)}, not a Task; name the Task that describes it, as in mine:TASK")
    try:
        verify(candidate)
        _verify_paths(candidate)
    except TaskError as error:
        raise TaskError(f"{path}: {error}") from None
    version = candidate.version if candidate.version is not None else _file_digest(path.partition(":")[0])
    return msgspec.structs.replace(candidate, name=name, version=version)


def _verify_paths(task: Task) -> None:
    """TaskError where a dotted path of `task` leads nowhere, as far as one sees without importing a module."""
    for field in ("workload", "check", "ready", "references"):
        if not (path := getattr(task, field)):
            continue
        module = path.partition(":")[0]
        top = module.partition(".")[0]
        if top not in sys.modules and importlib.util.find_spec(top) is None:
            raise TaskError(f"{field}: {path}: there is no module {top!r}; its file must lie beside the task's own")
        if module in sys.modules:
            try:
                resolve(path)
            except TaskError as error:
                raise TaskError(f"{field}: {error}") from None


def _file(path: str) -> str | None:
    """The file of the module of `path`, which is imported; None if it has none."""
    module = sys.modules[path.partition(":")[0]]
    return inspect.getsourcefile(module) if getattr(module, "__file__", None) else None


def _file_digest(module: str) -> str:
    if (source := _file(module)) is None:
        raise TaskError(f"{module}: has no source file to take a version from; give the task a `version`")
    return hashlib.sha256(Path(source).read_bytes()).hexdigest()[:16]


@functools.cache
def dataset_paths() -> Mapping[str, str]:
    """Dotted paths of the built-in data sets by name."""
    return {n: p for family in FAMILIES for n, p in importlib.import_module(family).DATASETS.items()}


def dataset(name: str) -> Dataset:
    """The data set called `name`, or at `module:Class`; TaskError with a suggestion if there is none."""
    path = dataset_paths().get(name, name)
    if ":" not in path:
        raise TaskError(f"unknown data set {name!r}{did_you_mean(name, dataset_paths())}")
    return resolve(path)()
