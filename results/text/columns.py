"""Text in the character cells of a terminal: how wide it is, broken at a width, and tables that fit one."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence

GAP = 2
"""Cells between two columns of a table."""

_BOLD, _PLAIN = "\x1b[1m", "\x1b[0m"
_NO_CELL = ("Mn", "Me", "Cf")
# A name may be broken after these, but neither a number (1e-3, -0.5) nor a word.
_BREAK = re.compile(r"(?<=[/,;=])(?=[\w-])|(?<=[^\W\d][^\W\d]-)(?=\w)|(?<=\d-)(?=[^\W\d])")


def cells(text: str) -> int:
    """How many cells of a terminal `text` takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(_cells(character) for character in text)


def _cells(character: str) -> int:
    if unicodedata.category(character) in _NO_CELL:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def left(text: str, width: int) -> str:
    """`text` with spaces after it up to `width` cells."""
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """`text` with spaces before it up to `width` cells."""
    return " " * (width - cells(text)) + text


def cut(text: str, width: int) -> str:
    """`text` in at most `width` cells; of what is longer, the end is an ellipsis."""
    return text if cells(text) <= width else f"{_first(text, width - 1)[0]}…"


def _first(text: str, width: int) -> tuple[str, str]:
    """As many characters of `text` as fit into `width` cells, one at least, and the rest."""
    taken = 0
    for index, character in enumerate(text):
        taken += _cells(character)
        if taken > width and index:
            return text[:index], text[index:]
    return text, ""


def wrapped(text: str, width: int) -> list[str]:
    """`text` in lines of at most `width` cells, broken at spaces; a word that is longer, after its hyphens or slashes,
    and where it has none, anywhere."""
    lines, line = [], ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if cells(joined) <= width:
            line = joined
            continue
        lines += [line] if line else []
        *full, line = _pieces(word, width)
        lines += full
    return [*lines, line]


def _pieces(word: str, width: int) -> Iterator[str]:
    line = ""
    for piece in break_pieces(word):
        if cells(line + piece) <= width:
            line += piece
            continue
        if line:
            yield line
        line = piece
        while cells(line) > width:
            first, line = _first(line, width)
            yield first
    yield line


def fold(text: str, width: int | None, indent: str = "  ") -> str:
    """`text` with each line that is longer than `width` wrapped; what goes on below it is indented by `indent` more."""
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _folded(line, width, indent))


def _folded(line: str, width: int, indent: str) -> list[str]:
    if cells(line) <= width:
        return [line]
    margin = line[: len(line) - len(line.lstrip(" "))]
    below = margin + indent
    if len(below) > width // 2:
        margin = below = ""
    first, *rest = wrapped(line.strip(" "), width - len(margin))
    continued = wrapped(" ".join(rest), width - len(below)) if rest else []
    return [margin + first, *(below + part for part in continued)]


def break_pieces(text: str) -> list[str]:
    """The parts of `text` between which a name may be broken."""
    return _BREAK.split(text)


def longest_piece(text: str) -> int:
    """Cells of the longest part of `text` that `wrapped` breaks at no width."""
    return max(cells(piece) for word in text.split(" ") for piece in break_pieces(word))


def fitted(natural: Sequence[int], least: Sequence[int], width: int) -> list[int] | None:
    """Widths of columns, in all at most `width` with the gaps: the widest shrink first, none below its least.

    None if they do not fit.
    """
    room = width - GAP * (len(natural) - 1)
    if sum(natural) <= room:
        return list(natural)
    if sum(least) > room:
        return None
    level = max(natural)
    while sum(widths := [max(low, min(full, level)) for full, low in zip(natural, least, strict=True)]) > room:
        level -= 1
    return widths


def line_up(
    texts: Sequence[str], widths: Sequence[int], to_the_right: Sequence[bool], bold: Sequence[bool] = ()
) -> list[str]:
    """The lines of a table's row: each text wrapped to its column's width, aligned, and with a terminal's escapes where
    it is bold."""
    columns = [wrapped(text, width) for text, width in zip(texts, widths, strict=True)]
    height = max(map(len, columns))
    padded = [
        [(right if to_right else left)(text, width) for text in column + [""] * (height - len(column))]
        for column, width, to_right in zip(columns, widths, to_the_right, strict=True)
    ]
    for column, is_bold in zip(padded, bold, strict=False):
        column[:] = [f"{_BOLD}{text}{_PLAIN}" for text in column] if is_bold else column
    return [(" " * GAP).join(line).rstrip() for line in zip(*padded, strict=True)]
