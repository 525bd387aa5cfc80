"""What an attempt says while it runs: a JSON object a line, in a file that only this attempt writes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.scores import number
from optathlon.results.store.files import make_folder, open_to_read, read, share
from optathlon.results.store.schema_versions import NOT_JSON

STEP = "update"
NUMBERS = (STEP, "resumed", "time", "seconds", "evaluating")
TAIL_BYTES = 1 << 14


class EventLog:
    """Appends to `path`, each line in one write, so that only a kill can tear one, and only the last."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        with contextlib.suppress(OSError):
            self._open()

    def append(self, event: dict[str, Any]) -> None:
        """Write `event`; non-finite numbers become null."""
        # Events only tell; a full disk must not end the training.
        with contextlib.suppress(OSError):
            os.write(self._open(), msgspec.json.encode(event) + b"\n")

    def close(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.close(self._file)

    def _open(self) -> int:
        if self._file is None:
            make_folder(self._path.parent)
            # Not blocking, as a pipe in the file's place would be waited for.
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
            self._file = os.open(self._path, flags, 0o666)
            share(self._path)
        return self._file


def parse(data: bytes) -> list[dict[str, Any]]:
    """The events in a file's bytes. A line torn by a kill is left out."""
    events = []
    for line in data.split(b"\n"):
        try:
            event = msgspec.json.decode(line)
        except NOT_JSON:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def in_file(path: Path) -> list[dict[str, Any]]:
    """The events in a file, as `parse`; none if it is not there, or no file."""
    with contextlib.suppress(StoreError):
        return parse(read(path) or b"")
    return []


def of_run(events: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of an attempt's `events` in which nothing stands in place of a number."""
    return [e for e in events if all(number(e.get(key, 0)) is not None for key in NUMBERS)]


def tail(path: Path) -> list[dict[str, Any]]:
    """The events in the last 16 kB of an attempt's file, whatever its length; none if it is not there."""
    with contextlib.suppress(OSError, StoreError), open_to_read(path) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_BYTES))
        return of_run(parse(file.read()))
    return []


def merge(attempts: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The events of a run from those of its attempts, oldest first: of each update only what the newest attempt said.

    Events without an update stay where they are among their attempt's.
    """
    placed: list[tuple[float, int, dict[str, Any]]] = []
    newest: dict[float, int] = {}
    for attempt, events in enumerate(attempts):
        step = next((e[STEP] for e in events if STEP in e), float("inf"))
        for event in events:
            if STEP in event:
                step = event[STEP]
                newest[step] = attempt
            placed.append((step, attempt, event))
    kept = [p for p in placed if STEP not in p[2] or newest[p[0]] == p[1]]
    return [event for _, _, event in sorted(kept, key=lambda p: p[:2])]
