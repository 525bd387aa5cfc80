"""A worker's lines in its log."""

from __future__ import annotations

import sys

from optathlon.results.store.files import utc


def say(message: str) -> None:
    print(f"{utc()} {message}", file=sys.stderr, flush=True)
