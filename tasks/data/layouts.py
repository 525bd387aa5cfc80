"""Finds in which of its known layouts a data set lies in a folder: as its authors pack it, and as loaders unpack it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path

from optathlon.tasks.errors import DataError


def places_with(
    folder: Path,
    places: Iterable[str],
    signs: Collection[str],
    enough: Callable[[Iterable[object]], bool] = any,
) -> list[Path]:
    """Those of the `places` below `folder` (".": itself) that hold one of the `signs`, which are files or folders; with
    `enough=all` those that hold all of them."""
    trees = [folder / place for place in places]
    return [tree for tree in trees if enough((tree / sign).exists() for sign in signs)]


def find_place(
    folder: Path,
    places: Iterable[str],
    signs: Collection[str],
    enough: Callable[[Iterable[object]], bool] = any,
) -> Path | None:
    """The first of `places_with`, or None: where a data set lies that may lie in one of several places."""
    return next(iter(places_with(folder, places, signs, enough)), None)


def require_place(
    name: str, folder: Path, places: Sequence[str], signs: Collection[str], expected: str = "the official layout"
) -> Path:
    """`find_place`; DataError names the data set and what was `expected` if nowhere is one of the `signs`."""
    tree = find_place(folder, places, signs)
    if tree is None:
        where = " or ".join(str(folder / place) for place in places)
        raise DataError(f"{name}: no {' or '.join(signs)} in {where}; expected {expected}")
    return tree


def find_file(folder: Path, places: Iterable[str], names: Sequence[str]) -> Path | None:
    """The file with the first of the `names` that there is in the first of the `places` below `folder`; None without
    one."""
    paths = (folder / place / name for place in places for name in names)
    return next((path for path in paths if path.is_file()), None)


def find_parts(name: str, folder: Path, layouts: Sequence[str], parts: Sequence[str]) -> list[Path] | None:
    """The files of all `parts` of a data set in one of its `layouts` below `folder`, each a path with {} for a part.

    None if there is none of them; DataError if some are missing, or if there are two layouts: which one is right nobody
    could tell.
    """
    begun = [layout for layout in layouts if any(path.exists() for path in paths_in(folder, layout, parts))]
    if len(begun) > 1:
        copies = " and ".join(str(folder / layout.format("*")) for layout in begun)
        raise DataError(f"{name}: two copies of the data, {copies}; keep one of them")
    paths = paths_in(folder, begun[0], parts) if begun else []
    for path in paths:
        if not path.is_file():
            raise DataError(f"{name}: {path} is missing; expected {', '.join(p.name for p in paths)} side by side")
    return paths or None


def paths_in(folder: Path, layout: str, parts: Sequence[str]) -> list[Path]:
    """The paths of all `parts` in a `layout` below `folder`."""
    return [folder / layout.format(part) for part in parts]
