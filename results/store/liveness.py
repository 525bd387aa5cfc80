"""Whether the owner of an attempt is alive: the one judge of it, for claims, states and `forget` alike."""

from __future__ import annotations

import time
from pathlib import Path

from optathlon.results.record import Owner
from optathlon.results.store.files import age, server_time
from optathlon.results.store.identity import is_own
from optathlon.results.store.process_identity import provably_alive, provably_dead

REMEASURED_AFTER = 60.0
SET_BY = 1.0  # seconds between the wall clock and the one that only runs; more is no drift but a hand
DISAGREE = 60.0  # seconds; clocks that differ by less disturb nobody


class Liveness:
    """Judges by the process itself where it can be seen from here, else by the heartbeat and the file server's clock.

    root: of the store, where a probe of the server's clock can be written and removed. lease: seconds without a
    heartbeat after which an owner counts as lost.
    """

    def __init__(self, root: Path, lease: float) -> None:
        self.root, self.lease = root, lease
        self._ahead = 0.0
        self._measured: float | None = None
        self._since_boot = 0.0

    def alive(self, attempt: Path | str, owner: Owner | None) -> bool:
        """Whether the owner of the file `attempt` is alive, or may be. A file that is gone says nothing against it."""
        if owner is not None and owner.store and not is_own(owner.store, self.root):
            return False  # it is at work in the store that this one is a copy of
        if owner is not None and provably_alive(owner):
            return True
        if owner is not None and provably_dead(owner):
            return False
        # However fresh the heartbeat looks: seen by a clock that is as far behind as it is old, any does.
        self._measure()
        silence = self.silence(attempt)
        # A living owner dates its heartbeat anew each minute. One that stays far in the future is a copy's, or was
        # made by a wrong clock, and nobody's sign of life.
        return silence is None or abs(silence) <= self.lease

    def silence(self, attempt: Path | str) -> float | None:
        """Seconds since the heartbeat in the file `attempt`, by the file server's clock; None if there is no file."""
        seconds = age(attempt, time.time() - self._ahead)
        if seconds is None or 0 <= seconds < self.lease / 3:
            return seconds
        self._measure()
        return age(attempt, time.time() - self._ahead)

    def clock_ahead(self) -> float:
        """Seconds that this machine's clock is ahead of the file server's, as far as they disagree; else 0."""
        return self._ahead if abs(self._ahead) > DISAGREE else 0.0

    def _measure(self) -> None:
        """Compare the clocks, unless that was done a minute ago and ours was not set since. Where nothing can be
        written, ours must do."""
        now = time.monotonic()
        since_boot = time.time() - now
        recent = self._measured is not None and now - self._measured < REMEASURED_AFTER
        if recent and abs(since_boot - self._since_boot) < SET_BY:
            return
        self._measured, self._since_boot = now, since_boot
        try:
            self._ahead = time.time() - server_time(self.root)
        except OSError:
            self._ahead = 0.0
