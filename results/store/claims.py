"""Who may run what: attempts, heartbeats, fences, and how attempts ended. Every file here has one writer."""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

import msgspec

from optathlon.results.errors import StoreError
from optathlon.results.record import Attempt, Ended, Owner
from optathlon.results.store import events
from optathlon.results.store.files import exists, listing, read, utc
from optathlon.results.store.identity import ensured_identity
from optathlon.results.store.layout import Layout
from optathlon.results.store.liveness import Liveness
from optathlon.results.store.process_identity import restarted
from optathlon.results.store.run_state import LOST, UNKNOWN, State
from optathlon.results.store.schema_versions import decode

T = TypeVar("T", bound=msgspec.Struct)
LEASE = 15 * 60.0
BARREN_LIMIT = 3
_FILE = re.compile(r"(attempt|ended|moved|retried|events)-(\d{4,})(?:\.jsonl?)?")


@dataclass
class History:
    """Numbers of the attempts of a run, by what there is of each."""

    attempt: list[int] = field(default_factory=list)
    ended: set[int] = field(default_factory=set)
    moved: set[int] = field(default_factory=set)
    retried: set[int] = field(default_factory=set)
    events: list[int] = field(default_factory=list)

    @property
    def newest(self) -> int:
        return self.attempt[-1] if self.attempt else 0


class Claims(Layout):
    """Attempts of the runs of a store. lease: seconds without a heartbeat after which an attempt counts as lost."""

    def __init__(self, root: Path | str, lease: float = LEASE) -> None:
        super().__init__(root)
        self.liveness = Liveness(self.root, lease)

    def claim(self, run_id: str, owner: Owner) -> Attempt | None:
        """Take a run by creating its next attempt; None if it is done, has failed for good, or is somebody's.

        The newest attempt must have ended, be provably dead, be an earlier restart of the same job, or have missed its
        lease by the file server's clock. Of many callers at most one gets it.
        """
        history = self._history(run_id)
        if history.newest and not self._over(run_id, history, owner):
            return None
        # After the look at the newest attempt: one that was seen to be over has committed before, or never will.
        if self.barren(run_id, history) >= BARREN_LIMIT or exists(self._record(run_id)):
            return None
        self.root.mkdir(parents=True, exist_ok=True)
        owner = msgspec.structs.replace(owner, store=ensured_identity(self.root))
        attempt = Attempt(run=run_id, number=history.newest + 1, owner=owner, created=utc())
        return attempt if self._put(self._numbered(attempt, "attempt", ".json"), _line(attempt)) else None

    def _over(self, run_id: str, history: History, owner: Owner) -> bool:
        if history.newest in history.ended:
            return True
        path = f"{self._work(run_id)}/attempt-{history.newest:04d}.json"
        before = self._owner(path)
        return (before is not None and restarted(before, owner)) or not self.liveness.alive(path, before)

    def _owner(self, path: str) -> Owner | None:
        """The owner in an attempt file; None if it cannot be read, so that only its lease counts."""
        attempt = _written(path, Attempt)
        return attempt and attempt.owner

    def beat(self, attempt: Attempt) -> None:
        """Say that the attempt is alive; at least every minute."""
        if not self.fenced(attempt):
            os.utime(self._numbered(attempt, "attempt", ".json"))

    def fenced(self, attempt: Attempt) -> bool:
        """Whether a newer attempt owns the run, or it was forgotten and perhaps begun anew: this one must write no
        more."""
        after = self.work(attempt.run) / f"attempt-{attempt.number + 1:04d}.json"
        return exists(after) or read(self._numbered(attempt, "attempt", ".json")) != _line(attempt)

    def note_moved(self, attempt: Attempt) -> None:
        """Note that the attempt saved a checkpoint further on than it found: its death then does not count."""
        if not self.fenced(attempt):
            self._put(self._numbered(attempt, "moved"), b"")

    def end(self, ended: Ended) -> bool:
        """Write down how an attempt ended, and whether it had noted that it moved; False if that was done before, or
        the run has been forgotten."""
        work = self.work(ended.run)
        if not exists(work / f"attempt-{ended.number:04d}.json"):
            return False
        if not ended.moved and exists(work / f"moved-{ended.number:04d}"):
            ended = msgspec.structs.replace(ended, moved=True)
        return self._put(work / f"ended-{ended.number:04d}.json", _line(ended))

    def retry(self, run_id: str) -> None:
        """Let a run that has failed for good be claimed again, from its last checkpoint."""
        if newest := self._history(run_id).newest:
            self._put(self.work(run_id) / f"retried-{newest:04d}", b"")

    def attempts(self, run_id: str) -> list[Attempt]:
        """Every start of a run, oldest first."""
        found = (self._attempt(run_id, number) for number in self._history(run_id).attempt)
        return [attempt for attempt in found if attempt]

    def endings(self, run_id: str) -> dict[int, Ended]:
        """How the attempts of a run ended, by number; those that died, or still run, are not there."""
        found = {number: self._ended(run_id, number) for number in sorted(self._history(run_id).ended)}
        return {number: ended for number, ended in found.items() if ended}

    def barren(self, run_id: str, history: History, newest: Ended | None = None) -> int:
        """How many attempts on end, up to three, failed or died without moving the checkpoint; others are passed over.

        The newest must not be alive. newest: how it ended, where that has been read.
        """
        count = 0
        for number in reversed(history.attempt):
            if count == BARREN_LIMIT or number in history.moved or number in history.retried:
                break
            known = newest if number == history.newest else None
            ended = known or (self._ended(run_id, number) if number in history.ended else None)
            if ended and (ended.moved or ended.kind in ("finished", "diverged")):
                break
            count += ended is None or ended.kind == "failed"
        return count

    def _state(self, run_id: str) -> State:
        """The state of a run that has no record."""
        history = self._history(run_id)
        if not history.newest:
            return State(kind="waiting")
        path = f"{self._work(run_id)}/attempt-{history.newest:04d}.json"
        owner = self._owner(path)
        ended = self._ended(run_id, history.newest) if history.newest in history.ended else None
        if history.newest not in history.ended and self.liveness.alive(path, owner):
            silence = max(0.0, self.liveness.silence(path) or 0.0)
            return State(kind="running", attempt=history.newest, owner=owner, silence=silence)
        barren = self.barren(run_id, history, ended)
        where = f" on {owner.host}" if owner else ""
        reason = ended.reason or ended.kind if ended else f"died{where} without saying why"
        failure = LOST if ended is None else (ended.failure or UNKNOWN) if ended.kind == "failed" else ""
        kind = "failed" if barren >= BARREN_LIMIT else "stopped"
        return State(
            kind=kind,
            reason=reason,
            failure=failure,
            ended=ended.ended if ended else "",
            attempt=history.newest,
            owner=owner,
            barren=barren,
        )

    def log(self, attempt: Attempt) -> Path:
        """Where what the attempt prints belongs."""
        return self._numbered(attempt, "log", ".txt")

    def event_log(self, attempt: Attempt) -> events.EventLog:
        """The events of `attempt`, open for its one writer."""
        return events.EventLog(self._numbered(attempt, "events", ".jsonl"))

    def latest(self, run_id: str, number: int) -> list[dict]:
        """The newest events of attempt `number`, oldest first: those in the last 16 kB of what it said."""
        return events.tail(self.work(run_id) / f"events-{number:04d}.jsonl")

    def moved(self, run_id: str) -> bool:
        """Whether an attempt of the run has saved a checkpoint further on than it found."""
        history = self._history(run_id)
        return bool(history.moved) or any(ended.moved for ended in self.endings(run_id).values())

    def events(self, run_id: str) -> list[dict]:
        """What the attempts of a run said, in order; for each update only what the newest attempt said of it."""
        files = (self.work(run_id) / f"events-{number:04d}.jsonl" for number in self._history(run_id).events)
        return events.merge(events.of_run(events.in_file(path)) for path in files)

    def _history(self, run_id: str) -> History:
        history = History()
        for match in filter(None, map(_FILE.fullmatch, listing(self._work(run_id)))):
            numbers, number = getattr(history, match[1]), int(match[2])
            numbers.append(number) if isinstance(numbers, list) else numbers.add(number)
        history.attempt.sort()
        history.events.sort()
        return history

    def _numbered(self, attempt: Attempt, kind: str, suffix: str = "") -> Path:
        return self.work(attempt.run) / f"{kind}-{attempt.number:04d}{suffix}"

    def _attempt(self, run_id: str, number: int) -> Attempt | None:
        return _written(f"{self._work(run_id)}/attempt-{number:04d}.json", Attempt)

    def _ended(self, run_id: str, number: int) -> Ended | None:
        return _written(f"{self._work(run_id)}/ended-{number:04d}.json", Ended)


def _written(path: str, kind: type[T]) -> T | None:
    """What is written in a file; None if there is none, or it holds nothing of the kind."""
    with contextlib.suppress(StoreError):
        if (data := read(path)) is not None:
            return decode(data, kind, path)
    return None


def _line(value: msgspec.Struct) -> bytes:
    return msgspec.json.encode(value) + b"\n"
