"""What commands share: where store and data are, JSON on stdout, tables, words on stderr, the width of the terminal."""

from __future__ import annotations

import argparse
import errno
import io
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec

from optathlon.optimizers.spec import IMPLEMENTATIONS
from optathlon.results.readable import in_json, one_line, spelled_out
from optathlon.results.text.columns import cells, fitted, fold, line_up, longest_piece
from optathlon.suite.network_options import MEMORY_FORMATS, NetworkOptions

SCHEMA = 1
NARROWEST = 20
LEAST_WIDTH = 12
"""Cells of a column of a table in which words may be broken."""


def add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--store", type=Path, default=Path(os.environ.get("OPTATHLON_STORE") or "store"),
        help="where plans and records are (default: $OPTATHLON_STORE, else ./store)",
    )  # fmt: skip


def add_data(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Path(os.environ.get("OPTATHLON_DATA") or "data"),
        help="where data sets are, each in its own folder (default: $OPTATHLON_DATA, else ./data)",
    )  # fmt: skip


def add_implementation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--implementation", choices=IMPLEMENTATIONS, default="auto",
        help="how optimizers step (default: auto, the fastest that takes the loop's steps); no id depends on it",
    )  # fmt: skip


def add_network_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--compile",
        action="store_true",
        help="networks compiled by torch.compile, as a run begins; no id depends on it",
    )
    parser.add_argument(
        "--memory-format", choices=MEMORY_FORMATS, default="auto",
        help="of convolutions' weights and pictures (default: auto, the task's own); no id depends on it",
    )  # fmt: skip


def network_options(args: argparse.Namespace) -> NetworkOptions:
    """What the arguments of `add_network_options` say."""
    return NetworkOptions(args.compile, args.memory_format)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def print_json(document: dict[str, Any]) -> None:
    """One JSON document with a schema number on stdout."""
    text = json.dumps(
        {"schema": SCHEMA, **msgspec.to_builtins(document)}, indent=2, ensure_ascii=False, allow_nan=False
    )
    write_data(in_json(text) + "\n")


def write_data(text: str) -> None:
    """What programs read, on stdout: in UTF-8 whatever the locale says, so that no character is lost; on a terminal
    in its own encoding, and without what the terminal would carry out."""
    if sys.stdout.isatty() or not isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.write(spelled_out(text))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def columns(stream: TextIO) -> int | None:
    """How many cells a line of `stream` has: $COLUMNS, else the terminal's; None for a file, of any width."""
    if (given := os.environ.get("COLUMNS", "")).isdecimal() and int(given) >= NARROWEST:
        return int(given)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, NARROWEST) if stream.isatty() else None
    except (OSError, ValueError):  # no descriptor, or none of a terminal
        return None


def show(text: str, indent: str = "  ") -> None:
    """On stdout, and nothing in `text` acts on a terminal, as names and notes come from anywhere; on a terminal, lines
    that are too long are wrapped, and `indent` stands before what goes on below."""
    print(fold(spelled_out(text), columns(sys.stdout), indent))


def say(message: str = "") -> None:
    """For people: on stderr, so that stdout is data only; on a terminal, lines that are too long are wrapped."""
    message = spelled_out(message)
    try:
        print(fold(message, columns(sys.stderr)) if sys.stderr.isatty() else message, file=sys.stderr, flush=True)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # The terminal was closed, and who did that wants no more words; what is to be saved is saved.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def table(rows: Iterable[Sequence[object]], head: Sequence[str], *, wrap: bool = True) -> str:
    """Aligned plain text; numbers to the right. On a terminal (unless not to wrap), texts wrap in their columns; where
    not even that fits, each row is a block of lines."""
    body = [[one_line(str(cell)) for cell in row] for row in rows]
    numeric = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(head))]
    natural = [max(cells(row[i]) for row in (head, *body)) for i in range(len(head))]
    pieces = [max(longest_piece(row[i]) for row in (head, *body)) for i in range(len(head))]
    least = [min(piece, LEAST_WIDTH) for piece in pieces]
    width = columns(sys.stdout) if wrap else None
    widths = natural if width is None else fitted(natural, pieces, width) or fitted(natural, least, width)
    if widths is None:
        return fold("\n".join(_block(row, head) for row in body), width)
    lines = [head, ["-" * w for w in widths], *body]
    return "\n".join(text for line in lines for text in line_up(line, widths, numeric))


def _block(row: Sequence[str], head: Sequence[str]) -> str:
    """A row as lines, its first text as their title."""
    return "\n".join([row[0], *(f"  {name}: {text}" for name, text in zip(head[1:], row[1:], strict=True))])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True
