"""What workers refused: a run's code or data were not the planned ones where they were. The run goes on waiting."""

from __future__ import annotations

import os
from typing import Any

import msgspec

from optathlon.results.store.events import EventLog, in_file
from optathlon.results.store.files import names
from optathlon.results.store.plan_files import Plans


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """Why a worker on `host` would not carry out a run."""

    run: str
    why: str
    host: str
    time: str
    """UTC, as 2025-01-31T12:00:00Z."""
    launch: int = 0
    """How often the sweep had been launched by then."""


class RefusalLog:
    """Where one worker of sweep `name` writes what it refuses, in a file of its own that the first refusal makes."""

    def __init__(self, store: Plans, name: str) -> None:
        self._launches = lambda: store.launches(name)
        self._path = store.sweep_folder(name) / f"refused-{os.urandom(4).hex()}.jsonl"
        self._log: EventLog | None = None

    def append(self, refusal: Refusal) -> None:
        """Write `refusal` down."""
        self._log = self._log or EventLog(self._path)
        self._log.append(msgspec.to_builtins(msgspec.structs.replace(refusal, launch=self._launches())))


def refusals(store: Plans, name: str) -> dict[str, Refusal]:
    """The newest refusal of each run of sweep `name`, by run, since it was launched last: a launch tries all again.

    By the count of launches, not by the dates of files, which a copy of the store need not have.
    """
    folder, launches = store.sweep_folder(name), store.launches(name)
    newest: dict[str, Refusal] = {}
    for file in names(folder):
        if file.startswith("refused-"):
            for refusal in filter(None, map(_refusal, in_file(folder / file))):
                before = newest.get(refusal.run)
                if refusal.launch >= launches and (before is None or before.time <= refusal.time):
                    newest[refusal.run] = refusal
    return newest


def _refusal(event: dict[str, Any]) -> Refusal | None:
    try:
        return msgspec.convert(event, Refusal)
    except msgspec.ValidationError:
        return None
