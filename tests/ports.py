"""Ports for tests in which processes meet."""

from __future__ import annotations

import socket

_held: list[socket.socket] = []


def own_port() -> int:
    """A port of 127.0.0.1 on which nobody listens, and on which nobody else will until this process ends.

    It is bound, and so given to nobody who asks for any port. Who asks for this one, and for SO_REUSEADDR, has it, as
    nobody listens on it here.
    """
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    held.bind(("127.0.0.1", 0))
    _held.append(held)
    return held.getsockname()[1]
