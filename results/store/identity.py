"""Which store this is: a copy of it, made by whatever means, is another one."""

from __future__ import annotations

import os
from pathlib import Path

from optathlon.results.store.files import put_new, read

FILE = "identity"


def identity(root: Path) -> str:
    """The identity of the store at `root`, "" if it has none yet.

    It is a random word kept in the root and the inodes of its file and of the root: all hosts that share the store see
    the same, a copy has the same word elsewhere, and a store that is moved within its file system stays itself.
    """
    word = read(root / FILE)
    if word is None:
        return ""
    return f"{word.decode(errors='replace').strip()}-{os.stat(root / FILE).st_ino:x}-{os.stat(root).st_ino:x}"


def ensured_identity(root: Path) -> str:
    """As `identity`, of a store that is about to be written to, and gets one."""
    if not (root / FILE).exists():
        put_new(root / FILE, os.urandom(8).hex().encode() + b"\n")
    return identity(root)
