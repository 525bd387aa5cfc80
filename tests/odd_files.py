"""Things that stand where a file is expected: pipes, sockets, folders, devices."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

KINDS = ("pipe", "socket", "folder", "device")


@contextlib.contextmanager
def in_place_of(path: Path, kind: str) -> Iterator[None]:
    """One of KINDS at `path`, in place of the file that is there. Who opens the pipe finds it empty and ended: a reader
    that takes it for a file is to fail its test, not to wait for ever."""
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "device":
        path.symlink_to(os.devnull)
    elif kind == "socket":
        with contextlib.chdir(path.parent), contextlib.closing(socket.socket(socket.AF_UNIX)) as made:
            made.bind(path.name)  # whole paths may be too long for a socket
    else:
        os.mkfifo(path)
        over = threading.Event()
        writer = threading.Thread(target=_open_and_close, args=(path, over), daemon=True)
        writer.start()
        try:
            yield
        finally:
            over.set()
            reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # open until the writer has come by once more
            writer.join()
            os.close(reader)
        return
    yield


def waits_for(act: Callable[[], object], pipe: Path) -> bool:
    """Whether `act` waits for somebody to open the other end of `pipe`, which this makes."""
    os.mkfifo(pipe)
    acting = threading.Thread(target=act, daemon=True)
    acting.start()
    acting.join(60.0)  # of one that waits
    waits = acting.is_alive()
    os.close(os.open(pipe, os.O_RDWR))  # lets go one that waits
    acting.join()
    return waits


def _open_and_close(path: Path, over: threading.Event) -> None:
    while not over.is_set():
        os.close(os.open(path, os.O_WRONLY))
