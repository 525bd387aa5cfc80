"""Files of data sets: written whole or not at all, told from what systems leave beside them, named by content."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
MARK = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8."""
LINE_END = re.compile(rb"\r+\n")
"""CRLF, or the CRCRLF of a text that was converted twice."""
TEXTS = (".txt", ".tokens", ".csv", ".tsv")
NOT_JSON = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON of the kind that was asked for."""


def is_litter(name: str) -> bool:
    """Whether a file or folder is none of the data: hidden (._photo.jpg, .DS_Store, .ipynb_checkpoints), or one that
    unpacking and file managers leave (__MACOSX, Thumbs.db)."""
    return name.startswith(".") or name in LITTER


def folders_in(folder: Path) -> list[Path]:
    """The folders in `folder` by name, without litter."""
    return sorted(path for path in folder.iterdir() if not is_litter(path.name) and path.is_dir())


@contextmanager
def writing(path: Path, *, sync: bool = True) -> Iterator[BinaryIO]:
    """A new file at `path`; an error of writing it, as of a full disk, names it. sync: at the end it is on the disk."""
    with naming(path), path.open("wb") as file:
        yield file
        file.flush()
        if sync:
            os.fsync(file.fileno())


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """An error of the system that names no file, as those of writing to an open one, names `path`."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # what a library raises without a number is not the system's, and says all itself
            error.filename = error.filename or os.fspath(path)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write `path` anew; whenever the process or the machine stops, it has the old content or the new."""
    handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o666 & ~umask())
        Path(temporary).replace(path)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the names in `folder` on the disk, where its file system can."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(handle)
    finally:
        os.close(handle)


def umask() -> int:
    """The bits that new files of this process lack."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """The hexadecimal digest of a file's bytes."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def text_of(content: bytes, *, blank_lines: bool = False) -> bytes:
    """A text without what editors and systems change: no byte order mark, LF for CRLF, a line break at the end.

    Empty lines at the end go, unless `blank_lines` are part of the format. This is what readers read and what an
    edition is named by.
    """
    content = LINE_END.sub(b"\n", content.removeprefix(MARK))
    if not blank_lines:
        content = content.rstrip(b"\n")
    return content if not content or content.endswith(b"\n") else content + b"\n"


def content_digest(path: Path, *, blank_lines: bool = False) -> tuple[int, str]:
    """Size and SHA-256 of what a file holds: of a text as `text_of` gives it, of any other file of its bytes."""
    if path.suffix not in TEXTS:
        return path.stat().st_size, file_digest(path)
    content = text_of(path.read_bytes(), blank_lines=blank_lines)
    return len(content), hashlib.sha256(content).hexdigest()
