"""The house keeps its plan: rooms, layers within them, no circles, and nothing too large to be read at one go."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.groups import GROUPS

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("suite", "tasks", "optimizers", "slurm", "results")
LONGEST_FUNCTION, LONGEST_FILE, MOST_FILES = 50, 400, 20
ONE_FILE_PER_THING = ("suite/commands", "optimizers/rules")
"""One file per command, one per update rule: these folders grow with what there is."""


@cache
def modules() -> dict[str, Path]:
    """Every module of the five rooms by its dotted name."""
    paths = [path for room in ROOMS for path in (ROOT / room).rglob("*.py")]
    names = [".".join(("optathlon", *path.relative_to(ROOT).with_suffix("").parts)) for path in paths]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


@cache
def tree(name: str) -> ast.Module:
    return ast.parse(modules()[name].read_text())


@cache
def imports(name: str) -> tuple[tuple[str, str], ...]:
    """(module, name in it) of each import of a module: also those inside functions and for type checkers."""
    return tuple(_imports(name))


def _imports(name: str) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)


@cache
def arrows() -> dict[str, set[str]]:
    """The modules of the house that each of its modules imports. `from package import module` is of the module."""
    graph: dict[str, set[str]] = {}
    for name in modules():
        pairs = [(module, f"{module}.{part}") for module, part in imports(name)]
        imported = {longer if longer in modules() else module for module, longer in pairs}
        graph[name] = {module for module in imported if module in modules() and module != name}
    return graph


def test_one_process_goes_through_all_tests_of_the_real_slurm():
    takes_it = re.compile(r"^def test_\w+\([^)]*\bslurm\b", re.MULTILINE)
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if takes_it.search(path.read_text())]
    assert {str(path.relative_to(ROOT)) for path in files} == {file for file in GROUPS if GROUPS[file] == "slurm"}
    assert all((ROOT / file).is_file() for file in GROUPS)


def test_no_module_imports_itself_over_others():
    try:
        tuple(graphlib.TopologicalSorter(arrows()).static_order())
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))


def contracts() -> list[tuple[str, list[str]]]:
    """(container, layers from the top) of each contract of the import linter."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    return [(container, contract["layers"]) for contract in settings for container in contract["containers"]]


@pytest.mark.parametrize(("container", "layers"), contracts(), ids=lambda value: value if type(value) is str else "")
def test_no_arrow_goes_up_or_between_neighbours(container, layers):
    """As lint-imports says, which sees no more than this; here also that no part of a container has been left out."""
    height = {f"{container}.{part}": -i for i, layer in enumerate(layers) for part in layer.split(" | ")}
    depth = container.count(".") + 2

    def part(module: str) -> str:
        return ".".join(module.split(".")[:depth])

    parts = {part(name) for name in modules() if name.startswith(f"{container}.")}
    assert parts == set(height)
    wrong = [
        f"{name} imports {imported}"
        for name, targets in arrows().items()
        for imported in targets
        if part(name) != part(imported)
        and {part(name), part(imported)} <= height.keys()
        and height[part(name)] <= height[part(imported)]
    ]
    assert not wrong


def test_nothing_imports_the_bare_name_of_a_room():
    """On PyPI and in users' folders `results` and the others are something else."""
    bare = [
        f"{name} imports {module}"
        for name in modules()
        for module, _ in imports(name)
        if module.partition(".")[0] in ROOMS
    ]
    assert not bare


def test_no_function_is_longer_than_a_screen():
    long = [
        f"{modules()[name].relative_to(ROOT)}:{node.lineno} {node.name}"
        for name in modules()
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (node.end_lineno or 0) - node.lineno >= LONGEST_FUNCTION
    ]
    assert not long


def test_no_file_is_too_long_and_no_folder_too_full():
    long = [str(path) for path in modules().values() if len(path.read_text().splitlines()) > LONGEST_FILE]
    assert not long
    folders = [str(path.parent.relative_to(ROOT)) for path in modules().values() if path.name != "__init__.py"]
    full = {folder for folder in folders if folders.count(folder) > MOST_FILES}
    assert full <= set(ONE_FILE_PER_THING)


def test_private_names_stay_in_their_module():
    borrowed = [
        f"{name} imports {part} of {module}"
        for name in modules()
        for module, part in imports(name)
        if module.startswith("optathlon.") and part.startswith("_") and f"{module}.{part}" not in modules()
        if not name.startswith("optathlon.optimizers.")
    ]
    assert not borrowed
