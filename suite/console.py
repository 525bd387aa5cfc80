"""What commands share: arguments for store and data, JSON and tables on stdout, messages on stderr."""

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
"""Version of the JSON that commands print; raised when a field changes its meaning or goes."""

NARROWEST = 20
"""Cells of the narrowest terminal that is believed to be one."""

LEAST_WIDTH = 12
"""Cells of the narrowest column of a table in which words may be broken."""


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
    """Returns the options given by the arguments of `add_network_options`."""
    return NetworkOptions(args.compile, args.memory_format)


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")


def print_json(document: dict[str, Any]) -> None:
    """Prints one JSON document, with a schema number, on stdout."""
    text = json.dumps(
        {"schema": SCHEMA, **msgspec.to_builtins(document)}, indent=2, ensure_ascii=False, allow_nan=False
    )
    write_data(in_json(text) + "\n")


def write_data(text: str) -> None:
    """Writes what programs read to stdout, in UTF-8 whatever the locale, so that no character is lost.

    A terminal gets it in its own encoding, with its control characters escaped.
    """
    if sys.stdout.isatty() or not isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.write(spelled_out(text))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode(errors="backslashreplace"))
    sys.stdout.buffer.flush()


def columns(stream: TextIO) -> int | None:
    """Returns how many cells a line of `stream` has: $COLUMNS, else the terminal's; None for a file, of any width."""
    if (columns_set := os.environ.get("COLUMNS", "")).isdecimal() and int(columns_set) >= NARROWEST:
        return int(columns_set)
    try:
        return max(os.get_terminal_size(stream.fileno()).columns, NARROWEST) if stream.isatty() else None
    except (OSError, ValueError):  # no descriptor, or none of a terminal
        return None


def show(text: str, indent: str = "  ") -> None:
    """Prints `text` on stdout with its control characters escaped, as names and notes come from anywhere.

    A terminal gets long lines wrapped, with `indent` before what goes on below.
    """
    print(fold(spelled_out(text), columns(sys.stdout), indent))


def say(message: str = "") -> None:
    """Prints a message for people on stderr, so that stdout is data only; a terminal gets long lines wrapped."""
    message = spelled_out(message)
    print_on_stderr(fold(message, columns(sys.stderr)) if sys.stderr.isatty() else message)


def print_on_stderr(text: str, end: str = "\n") -> None:
    """Prints `text` as it is; nobody is ended by a terminal that was closed."""
    try:
        print(text, end=end, file=sys.stderr, flush=True)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # The terminal was closed. A run must still save its state, so a message that nobody reads must not end it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def table(rows: Iterable[Sequence[object]], head: Sequence[str], *, wrap: bool = True) -> str:
    """Returns aligned plain text, numbers to the right.

    wrap: for a terminal, cells wrap in their columns; where not even that fits, each row becomes a block of lines.
    """
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
    """Returns a row as lines, its first cell as their title."""
    return "\n".join([row[0], *(f"  {name}: {text}" for name, text in zip(head[1:], row[1:], strict=True))])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True
