"""The source files of users' tasks and optimizers: finds them, keeps them in the store, restores them from there."""

from __future__ import annotations

import ast
import functools
import hashlib
import importlib
import importlib.util
import operator
import sys
import sysconfig
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from optathlon import optimizers, tasks
from optathlon.results import Store, StoreError
from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.user_modules import prefer_own


class Source(NamedTuple):
    """A module's source file."""

    file: str
    """Its path below the folder that the module is imported from."""
    data: bytes
    """What it holds."""
    installed: bool
    """Whether that folder is Python's own, so that the module comes back by installing its distribution."""


def sources(run: Run) -> dict[str, Source]:
    """Returns, by module, the sources of a run's task and optimizer where they are a user's, and of what those import
    from beside them; as they were when first asked for in this process, which has imported that."""
    return {**task_sources(run.problem.task), **optimizer_sources(run.setting.optimizer)}


@functools.cache
def task_sources(name: str) -> Mapping[str, Source]:
    """Returns the sources of the task called `name`, by module; empty for a built-in one."""
    if tasks.is_built_in(name):
        return {}
    task = task_of(name)
    return _read([name, task.workload, task.check, task.ready, *task.datasets])


@functools.cache
def optimizer_sources(name: str) -> Mapping[str, Source]:
    """Returns the sources of the optimizer called `name`, by module; empty for a built-in one."""
    return {} if optimizers.is_built_in(name) else _read([name, optimizer_of(name).factory])


def _read(paths: Iterable[str | None]) -> dict[str, Source]:
    """Returns the sources of the modules of `paths` ("module:NAME") that are users', and of those beside them that they
    import, directly or not."""
    to_read = [module for path in paths if path and ":" in path for module in _modules(path)]
    read: dict[str, Source] = {}
    while to_read:
        name = to_read.pop()
        if name in read or name.partition(".")[0] == "optathlon" or (file := _file(name)) is None:
            continue  # ours, compiled, or a folder without an __init__.py
        suffix = "/__init__.py" if file.name == "__init__.py" else ".py"
        read[name] = Source(name.replace(".", "/") + suffix, file.read_bytes(), _is_installed(file))
        if not read[name].installed:
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            imported = [*_parents(name), *_imported(read[name].data, package)]
            to_read += [other for other in imported if _root(other) == _root(name)]
    return read


def _modules(path: str) -> list[str]:
    """Returns the module of `path` ("module:NAME"), and the one that defines that NAME."""
    module, _, name = path.partition(":")
    defined = getattr(operator.attrgetter(name)(importlib.import_module(module)), "__module__", module)
    return [module, defined] if isinstance(defined, str) else [module]


def _imported(source: bytes, package: str) -> Iterator[str]:
    """Yields every name in the import statements of `source`, a module of `package`, that may be a module's."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):  # of a file that was not imported yet: the run itself will say so
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from (*_parents(alias.name), alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *(node.module or "").split(".")]).strip(".")
            yield from (*_parents(base), base, *(f"{base}.{alias.name}" for alias in node.names))


def _parents(module: str) -> list[str]:
    """Returns the packages that `module` is in, the outermost first."""
    names = module.split(".")
    return [".".join(names[:length]) for length in range(1, len(names))]


@functools.cache
def _file(module: str) -> Path | None:
    """Returns the source file of `module`; None if there is no such module, or it has none."""
    try:
        spec = getattr(sys.modules.get(module), "__spec__", None) or importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):  # what looks like a module in an import is a class of one
        return None
    file = Path(spec.origin).resolve() if spec and spec.origin and spec.has_location else None
    return file if file and file.suffix == ".py" else None


def _root(module: str) -> Path | None:
    """Returns the folder that a user's own module was imported from; None for an installed module, or none at all."""
    if (file := _file(module)) is None or _is_installed(file):
        return None
    depth = module.count(".") + (file.name == "__init__.py")
    return file.parents[depth] if depth < len(file.parents) else None


def _is_installed(file: Path) -> bool:
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    return bool({"site-packages", "dist-packages"} & set(file.parts)) or file.is_relative_to(standard)


def keep(store: Store, run: Run) -> dict[str, Any]:
    """Keeps the sources of `run` in `store`; returns what its provenance says of them, per module the file and digest.

    Empty for a built-in task and optimizer.
    """
    described = {
        module: {"file": source.file, "sha256": store.keep_source(source.data), "installed": source.installed}
        for module, source in sources(run).items()
    }
    return {"sources": described} if described else {}


def changed(run: Run, recorded: Any) -> list[str]:
    """Returns the files of a run's sources that differ here from what its provenance has `recorded`.

    A user who gives a task or optimizer a version of her own may change its source under the same run id.
    """
    here = {source.file: hashlib.sha256(source.data).hexdigest() for source in sources(run).values()}
    then = {source.file: source.sha256 for source in _recorded(recorded).values()}
    return sorted(file for file, digest in then.items() if here.get(file) != digest)


def restore(store: Store, recorded: Any, folder: Path) -> None:
    """Puts the sources that a provenance has `recorded` into `folder`, and has this process import them from there.

    Sources of installed distributions are left out: the store keeps those only to be read. Raises StoreError if one is
    not in the store, or not as it was.
    """
    for module, source in _recorded(recorded).items():
        if source.installed:
            continue
        path = folder / source.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.source(source.sha256))
        prefer_own(f"{module}:")


class _RecordedSource(msgspec.Struct):
    file: str
    sha256: str
    installed: bool = False


def _recorded(recorded: Any) -> dict[str, _RecordedSource]:
    """Returns the sources in a provenance, checked: a store may be a stranger's, and their paths are written to.

    Raises StoreError for what cannot be.
    """
    try:
        by_module = msgspec.convert(recorded or {}, dict[str, _RecordedSource])
    except msgspec.ValidationError as error:
        raise StoreError(f"the sources in the record's provenance: {error}") from None
    for module, source in by_module.items():
        stem = module.replace(".", "/")
        fits = all(part.isidentifier() for part in module.split("."))
        if not fits or source.file not in (f"{stem}.py", f"{stem}/__init__.py"):
            raise StoreError(f"source of module {module!r}: {source.file!r} is no file of its name")
    return by_module
