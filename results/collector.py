"""Python's cycle collector, where it would only lose time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

MANY = 10_000
"""Fewer new objects are looked through in less than a millisecond."""


@contextlib.contextmanager
def without_collection() -> Iterator[None]:
    """The block runs without the collector, which would look through all records again and again while none can be
    garbage."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            # All that was made is old now. Else the next object would be the one for which all are looked through.
            # Frozen objects are counted one by one, so that they are asked for last.
            if gc.get_count()[0] > MANY and not gc.get_freeze_count():
                gc.freeze()
                gc.unfreeze()
            gc.enable()
