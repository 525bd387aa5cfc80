"""What state each run of a plan is in, from files only."""

from __future__ import annotations

from typing import Literal

import msgspec

from optathlon.results.record import Owner

Kind = Literal["waiting", "running", "stopped", "failed", "finished", "diverged"]

LOST, UNKNOWN = "lost", "unknown"


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a run stands."""

    kind: Kind
    reason: str = ""
    """Why it is so, in words; empty where there is nothing to explain."""
    failure: str = ""
    """The class of what the newest attempt failed by, as its Ended says; LOST if it died without a word, UNKNOWN if it
    named none, empty if it did not fail."""
    ended: str = ""
    """When the newest attempt ended, if it could say so."""
    attempt: int = 0
    """Number of the newest attempt; 0 if there is none."""
    owner: Owner | None = None
    """Who runs it, or ran it last."""
    silence: float | None = None
    """Seconds since the last heartbeat of a running one, by the file server's clock."""
    barren: int = 0
    """Attempts in a row that died or failed without moving the checkpoint; three make the run failed."""
