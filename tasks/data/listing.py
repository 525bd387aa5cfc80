"""Lists in text files: their lines as words, numbers, and paths in the tree of files that they are of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from optathlon.tasks.data.text import read_text
from optathlon.tasks.errors import DataError

DIGITS = 18
LONGEST = 1000
"""Characters of a line; no list's are nearly as long, and messages quote them."""


def rows(path: Path, names: Sequence[str], skip: int = 0) -> Iterator[tuple[str, list[str]]]:
    """Each line after the first `skip` as its place, for messages, and as many words as there are `names`."""
    lines = read_text(path, f"lines of {' '.join(names)}").split("\n")
    for number, line in enumerate(lines[skip:], start=skip + 1):
        if len(line) > LONGEST:
            raise DataError(f"{path}, line {number} has {len(line):,} characters; expected {' '.join(names)}")
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
