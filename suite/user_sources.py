"""The source of tasks and optimizers from outside: which files it is, and putting them where they are imported from."""

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
    """A module's file: its path below the folder that it is imported from, and what it holds. installed: that folder is
    Python's own, so that the whole distribution comes back by installing it."""

    file: str
    data: bytes
    installed: bool


def sources(run: Run) -> dict[str, Source]:
    """The source of `run`'s task and optimizer, where they are from outside, and of what they import from beside them,
    by module; as it was when first asked for in this process, which has imported that."""
    return {**of_task(run.problem.task), **of_optimizer(run.setting.optimizer)}


@functools.cache
def of_task(name: str) -> Mapping[str, Source]:
    """The source of the task called `name`; none of one of ours."""
    if tasks.is_built_in(name):
        return {}
    task = task_of(name)
    return _read([name, task.workload, task.check, task.ready, *task.datasets])


@functools.cache
def of_optimizer(name: str) -> Mapping[str, Source]:
    """The source of the optimizer called `name`; none of one of ours."""
    return {} if optimizers.is_built_in(name) else _read([name, optimizer_of(name).factory])


def _read(paths: Iterable[str | None]) -> dict[str, Source]:
    """The sources of the modules of `paths` ("module:NAME") that are not ours, and of those beside them that they
    import."""
    wanted = [module for path in paths if path and ":" in path for module in _modules(path)]
    found: dict[str, Source] = {}
    while wanted:
        name = wanted.pop()
        if name in found or name.partition(".")[0] == "optathlon" or (file := _file(name)) is None:
            continue  # ours, compiled, or a folder without an __init__.py
        inside = "/__init__.py" if file.name == "__init__.py" else ".py"
        found[name] = Source(name.replace(".", "/") + inside, file.read_bytes(), _is_installed(file))
        if not found[name].installed:
            package = name if file.name == "__init__.py" else name.rpartition(".")[0]
            imported = [*_parents(name), *_imported(found[name].data, package)]
            wanted += [other for other in imported if _root(other) == _root(name)]
    return found


def _modules(path: str) -> list[str]:
    """The module of `path` ("module:NAME"), and the one that defines what it names there."""
    module, _, name = path.partition(":")
    defined = getattr(operator.attrgetter(name)(importlib.import_module(module)), "__module__", module)
    return [module, defined] if isinstance(defined, str) else [module]


def _imported(source: bytes, package: str) -> Iterator[str]:
    """The names of all that may be a module in the import statements of `source`, a module in `package`."""
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
    """The packages that `module` is in."""
    names = module.split(".")
    return [".".join(names[:length]) for length in range(1, len(names))]


@functools.cache
def _file(module: str) -> Path | None:
    """The source file of `module`; None if there is no such module, or it has none."""
    try:
        spec = getattr(sys.modules.get(module), "__spec__", None) or importlib.util.find_spec(module)
    except (ImportError, AttributeError, ValueError):  # what looks like a module in an import is a class of one
        return None
    file = Path(spec.origin).resolve() if spec and spec.origin and spec.has_location else None
    return file if file and file.suffix == ".py" else None


def _root(module: str) -> Path | None:
    """The folder that a module of a user's own was imported from; None for what is installed, or no module."""
    if (file := _file(module)) is None or _is_installed(file):
        return None
    depth = module.count(".") + (file.name == "__init__.py")
    return file.parents[depth] if depth < len(file.parents) else None


def _is_installed(file: Path) -> bool:
    standard = Path(sysconfig.get_path("stdlib")).resolve()
    return bool({"site-packages", "dist-packages"} & set(file.parts)) or file.is_relative_to(standard)


def keep(store: Store, run: Run) -> dict[str, Any]:
    """Keeps the sources of `run` in `store`, each once; returns what its provenance says of them, if there are any:
    the file and digest of each module."""
    kept = {
        module: {"file": source.file, "sha256": store.keep_source(source.data), "installed": source.installed}
        for module, source in sources(run).items()
    }
    return {"sources": kept} if kept else {}


def changed(run: Run, kept: Any) -> list[str]:
    """The files of `run`'s sources that are not here as a provenance names them; a task or optimizer may have its
    version, and so its id, in spite of that."""
    here = {source.file: hashlib.sha256(source.data).hexdigest() for source in sources(run).values()}
    there = {where.file: where.sha256 for where in _described(kept).values()}
    return sorted(file for file, digest in there.items() if here.get(file) != digest)


def restore(store: Store, kept: Any, folder: Path) -> None:
    """Puts the sources that a provenance names into `folder`, from where this process then imports them; those of
    installed distributions are only kept to be read.

    StoreError if one is not in the store, or not as it was.
    """
    for module, where in _described(kept).items():
        if where.installed:
            continue
        path = folder / where.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.source(where.sha256))
        prefer_own(f"{module}:")


class _Kept(msgspec.Struct):
    file: str
    sha256: str
    installed: bool = False


def _described(kept: Any) -> dict[str, _Kept]:
    """What a provenance says of sources, checked; StoreError if it cannot be."""
    try:
        found = msgspec.convert(kept or {}, dict[str, _Kept])
    except msgspec.ValidationError as error:
        raise StoreError(f"the sources in the record's provenance: {error}") from None
    for module, where in found.items():
        stem = module.replace(".", "/")
        fits = all(part.isidentifier() for part in module.split("."))
        if not fits or where.file not in (f"{stem}.py", f"{stem}/__init__.py"):
            raise StoreError(f"source of module {module!r}: {where.file!r} is no file of its name")
    return found
