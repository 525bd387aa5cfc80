"""What workers refused: a run's code or data were not the planned ones where they were. The run goes on waiting."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec

from optathlon.results.store.events import EventLog, parse
from optathlon.results.store.files import age, names, read
from optathlon.results.store.layout import Layout


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker on `host` would not carry out a run."""

    run: str
    why: str
    host: str
    time: str
    """UTC, as 2025-01-31T12:00:00Z."""


class RefusalLog:
    """Where one worker of sweep `name` writes what it refuses, in a file of its own that the first refusal makes."""

    def __init__(self, store: Layout, name: str) -> None:
        self._path = store.sweep_folder(name) / f"refused-{os.urandom(4).hex()}.jsonl"
        self._log: EventLog | None = None

    def append(self, refusal: Refusal) -> None:
        """Write `refusal` down."""
        self._log = self._log or EventLog(self._path)
        self._log.append(msgspec.to_builtins(refusal))


def refusals(store: Layout, name: str) -> dict[str, Refusal]:
    """The newest refusal of each run of sweep `name`, by run, since it was launched last: a launch tries all again."""
    folder = store.sweep_folder(name)
    files = names(folder)
    launched = max((_changed(folder / f) for f in files if f.startswith("submission-")), default=0.0)
    newest: dict[str, Refusal] = {}
    for file in files:
        if file.startswith("refused-") and _changed(folder / file) >= launched:
            for refusal in filter(None, map(_refusal, parse(read(folder / file) or b""))):
                if refusal.run not in newest or newest[refusal.run].time <= refusal.time:
                    newest[refusal.run] = refusal
    return newest


def _changed(path: Path) -> float:
    return -(age(path, 0.0) or 0.0)


def _refusal(event: dict[str, Any]) -> Refusal | None:
    try:
        return msgspec.convert(event, Refusal)
    except msgspec.ValidationError:
        return None
