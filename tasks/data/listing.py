"""Lists in text files, and the trees of files that they name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError

DIGITS = 18


def find_tree(folder: Path, tree: str, sign: str) -> Path:
    """Where below `folder` the official tree begins: in `tree` or in `folder` itself, by the file `sign`."""
    found = next((place for place in (folder / tree, folder) if (place / sign).is_file()), None)
    if found is None:
        raise DataError(f"{folder.name}: no {sign} in {folder / tree} or {folder}; expected the official layout")
    return found


def find_layout(name: str, folder: Path, layouts: Sequence[str], parts: Sequence[str]) -> list[Path] | None:
    """The files of a data set in one of its `layouts` below `folder`, each a path with {} for one of the `parts`.

    None if there is none of them; DataError if some are missing, or if there are two layouts.
    """
    begun = [layout for layout in layouts if any(path.exists() for path in paths_in(folder, layout, parts))]
    if len(begun) > 1:
        copies = " and ".join(str(folder / layout.format("*")) for layout in begun)
        raise DataError(f"{name}: two copies of the data, {copies}; keep one of them")
    for path in (paths := paths_in(folder, begun[0], parts) if begun else []):
        if not path.is_file():
            raise DataError(f"{name}: {path} is missing; expected {', '.join(p.name for p in paths)} side by side")
    return paths or None


def paths_in(folder: Path, layout: str, parts: Sequence[str]) -> list[Path]:
    """The paths of all `parts` in a `layout` below `folder`."""
    return [folder / layout.format(part) for part in parts]


def rows(path: Path, names: Sequence[str], skip: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Each line after the first `skip` as its place, for messages, and as many words as there are `names`."""
    lines = read_text(path, f"lines of {' '.join(names)}").split("\n")
    for number, line in enumerate(lines[skip:], start=skip + 1):
        if words := line.split():
            if len(words) != len(names):
                raise DataError(f"{path}, line {number}: {line!r} has {len(words)} words; expected {' '.join(names)}")
            yield f"{path}, line {number}", words


def number(place: str, name: str, word: str) -> int:
    """`word` as a positive number of 64 bits; DataError names the `place` if it is none."""
    if not (word.isascii() and word.isdigit() and len(word) <= DIGITS and int(word)):
        raise DataError(f"{place}: {name} {word[:40]!r} is not a positive number of at most {DIGITS} digits")
    return int(word)


def below(tree: Path, place: str, path: str) -> Path:
    """`tree` / `path`; DataError names the `place` if that leads out of the tree."""
    parts = PurePosixPath(path)
    if parts.is_absolute() or ".." in parts.parts:
        raise DataError(f"{place}: {path!r} is not a path below {tree}")
    return tree / parts
