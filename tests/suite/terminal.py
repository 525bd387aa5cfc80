"""A terminal of a certain size, in which commands of the suite are run as a user runs them."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from pathlib import Path

from optathlon.results.text.columns import cells
from tests.suite.sweeps import command, environment

_ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class Screen:
    """What a command wrote to a terminal of `columns` by `rows` cells."""

    def __init__(self, folder: Path, *words: object, columns: int = 80, rows: int = 24) -> None:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        process = subprocess.Popen(
            command(*words), cwd=folder, env=environment(TERM="xterm"), stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        written = b""
        while chunk := _read(ours):
            written += chunk
        os.close(ours)
        self.code, self.columns, self.text = process.wait(), columns, written.decode()

    @property
    def lines(self) -> list[str]:
        """Each line as it stood there; of one that was written over again and again, each state."""
        return [_ESCAPE.sub("", state) for line in self.text.split("\r\n") for state in line.split("\r")]

    @property
    def too_long(self) -> list[str]:
        """The lines that the terminal had to wrap."""
        return [line for line in self.lines if cells(line) > self.columns]


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the last process that had the other end has ended
        return b""
