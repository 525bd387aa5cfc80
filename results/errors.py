"""What this room raises when a store, a plan or a record is not what it must be."""

from __future__ import annotations


class StoreError(RuntimeError):
    """A store cannot be read or written, or holds something impossible; the message names the path and the remedy."""


class TooLittle(ValueError):  # noqa: N818
    """There is not enough in a sweep for what was asked of it; the message says what is missing."""
