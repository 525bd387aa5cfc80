"""What commands share: where store and data are, JSON on stdout, tables, progress on stderr."""

from __future__ import annotations

import argparse
import errno
import json
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from optathlon.optimizers.spec import IMPLEMENTATIONS
from optathlon.suite.network_options import MEMORY_FORMATS, NetworkOptions

SCHEMA = 1


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
    print(
        json.dumps({"schema": SCHEMA, **msgspec.to_builtins(document)}, indent=2, ensure_ascii=False, allow_nan=False)
    )


def say(message: str = "") -> None:
    """For people: on stderr, so that stdout is data only."""
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        # The terminal was closed, and who did that wants no more words; what is to be saved is saved.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def table(rows: Iterable[Sequence[object]], head: Sequence[str]) -> str:
    """Aligned plain text; numbers to the right."""
    from optathlon.results.readable import one_line

    body = [[one_line(str(cell)) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in (list(head), *body)) for i in range(len(head))]
    numeric = [bool(body) and all(_is_number(row[i]) for row in body) for i in range(len(head))]
    return "\n".join(_line(row, widths, numeric) for row in (list(head), ["-" * w for w in widths], *body))


def _line(row: Sequence[str], widths: Sequence[int], numeric: Sequence[bool]) -> str:
    cells = (c.rjust(w) if right else c.ljust(w) for c, w, right in zip(row, widths, numeric, strict=True))
    return "  ".join(cells).rstrip()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return text in ("", "-")
    return True
