"""Python's cycle collector, where it would only lose time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


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
            if not gc.get_freeze_count():
                # All that was made is old now. Else the next object would be the one for which all are looked through.
                gc.freeze()
                gc.unfreeze()
            gc.enable()
