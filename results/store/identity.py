"""Which store this is: a copy of it, made by whatever means, is another one."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from optathlon.results.store.files import put_new, read

FILE = "identity"


def identity(root: Path) -> str:
    """The identity of the store at `root`, "" if it has none yet: a random word that is kept in the root, the inodes of
    its file and of the root, and a digest of the file system and of the root's path."""
    word = read(root / FILE)
    if word is None:
        return ""
    inodes = f"{os.stat(root / FILE).st_ino:x}-{os.stat(root).st_ino:x}"
    return f"{word.decode(errors='replace').strip()}-{inodes}-{_place(root)}"


def is_own(recorded: str, root: Path) -> bool:
    """Whether `recorded`, the identity of a store as it was written down, is that of the store at `root`.

    The word must be the same, and the inodes or the place. So all hosts that share a store agree, wherever it is
    mounted; a store that is moved within its file system stays itself; and so does one whose file system gives other
    inodes after each mount (FUSE, SMB), as long as it is mounted where it was. A copy has the word alone.
    """
    here = identity(root)
    if recorded == here:
        return True
    (word, *inodes), (own_word, *own_inodes) = _parts(recorded), _parts(here)
    return word == own_word and (inodes[:2] == own_inodes[:2] or inodes[2:] == own_inodes[2:] != [])


def ensured_identity(root: Path) -> str:
    """As `identity`, of a store that is about to be written to, and gets one."""
    if not (root / FILE).exists():
        put_new(root / FILE, os.urandom(8).hex().encode() + b"\n")
    return identity(root)


def _place(root: Path) -> str:
    # The same path on another machine's disk is another place: most file systems have a number of their own.
    where = f"{os.statvfs(root).f_fsid} {os.path.realpath(root)}"
    return hashlib.sha256(os.fsencode(where)).hexdigest()[:8]


def _parts(told: str) -> list[str]:
    """Word, two inodes, and the place, which identities of older versions do not have."""
    return told.rsplit("-", 3) if told.count("-") >= 3 else told.rsplit("-", 2)
