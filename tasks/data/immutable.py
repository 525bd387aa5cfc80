"""Marks what data workers need not be sent, because it is in their memory as it was when they were started."""

from __future__ import annotations


class Immutable:
    """Base of classes whose objects never change once they are made, nor does what they hold: data in memory."""
