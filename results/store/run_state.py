"""What state each run of a plan is in, from files only."""

from __future__ import annotations

from typing import Literal

import msgspec

from optathlon.results.record import Owner

Kind = Literal["waiting", "running", "stopped", "failed", "finished", "diverged"]

LOST, UNKNOWN = "lost", "unknown"


class State(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where a run stands. attempt: number of the newest start (0: none). owner: who runs it, or ran it last.
    failure: the class of what the newest start failed by, as its Ended says; LOST if it died without a word, UNKNOWN if
    it named none, empty if it did not fail. ended: when it ended, if it could say so. silence: seconds since the last
    heartbeat of a running one, by the file server's clock. barren: starts on end that died or failed without moving the
    checkpoint; three make it failed."""

    kind: Kind
    reason: str = ""
    failure: str = ""
    ended: str = ""
    attempt: int = 0
    owner: Owner | None = None
    silence: float | None = None
    barren: int = 0
