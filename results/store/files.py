"""The file operations a store rests on: create once, read in spite of a network file system, list quietly."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import re
import stat
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from optathlon.results.errors import StoreError

T = TypeVar("T")
STALE_TRIES = 5
TEMPORARY = re.compile(r"\..+[.-][0-9a-f]{8,16}")
"""What files are called until they get their name, and probes of the clock."""
NO_HARD_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EXDEV, errno.EMLINK}


def put_new(path: Path | str, data: bytes) -> bool:
    """Create `path` with `data`, whole and on disk; False if it exists already. Of many callers exactly one gets True.

    The temporary file lies beside it (a link across folders can fail under project quotas). In a group-writable folder
    the file, and folders made on the way, are group-writable whatever the umask. Raises StoreError where the file
    system has no hard links. On NFS a lost reply makes a successful link look like a failure, so the link count decides
    (Linux open(2), O_EXCL).
    """
    path = Path(path)
    if exists(path):
        return False
    make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666), "wb") as file:
            file.write(data)
            file.flush()
            share(temporary)
            os.fsync(file.fileno())
        return _link(temporary, path)
    finally:
        # The file has its name or has not, whether this works or not; `clean` removes what is left.
        with contextlib.suppress(OSError):
            temporary.unlink()


def _link(temporary: Path, path: Path) -> bool:
    try:
        os.link(temporary, path)
    except OSError as error:
        if os.stat(temporary).st_nlink != 2:
            if isinstance(error, FileExistsError):
                return False
            if error.errno in NO_HARD_LINKS:
                raise StoreError(
                    f"{path.parent}: this file system refuses hard links ({error.strerror}), by which a store gives "
                    "each run to one process; put the store on a local disk, NFS or Lustre"
                ) from error
            raise
    sync(path.parent)
    return True


def replace(path: Path, data: bytes | Iterable[bytes]) -> None:
    """Write `path` anew, whole or in parts: temporary file beside it, fsync, rename."""
    temporary = path.with_name(f".{path.name}.{os.urandom(8).hex()}")
    try:
        with open(temporary, "wb") as file:
            file.writelines([data] if isinstance(data, bytes) else data)
            file.flush()
            share(temporary)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
    sync(path.parent)


def hand_out(path: Path, data: bytes) -> None:
    """Write a file that a user asked for: anew, whole or not at all; what is no file (/dev/stdout) as it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(data)
    else:
        replace(path.resolve(), data)


def share(path: Path) -> None:
    """Let the group write to `path`, which this process owns, if it may write to the folder that holds it."""
    if os.stat(path.parent).st_mode & stat.S_IWGRP:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        wanted = mode | (0o070 if path.is_dir() else 0o060)
        if mode != wanted:
            os.chmod(path, wanted)


def make_folder(folder: Path) -> None:
    """Create `folder` and what is missing above it, sharing it with the group as `share` does."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir()
    except FileExistsError:
        return
    share(folder)
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Make names in `folder` durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def _patiently(action: Callable[[], T], missing: T) -> T:
    """`action()`, again while NFS says that a name was replaced meanwhile; `missing` if there is no such file."""
    for tries_left in reversed(range(STALE_TRIES)):
        try:
            return action()
        except (FileNotFoundError, NotADirectoryError):
            return missing
        except OSError as error:
            if error.errno != errno.ESTALE or not tries_left:
                raise
            time.sleep(0.02)
    raise AssertionError("unreachable")


def exists(path: Path) -> bool:
    """Whether there is a file; unlike Path.exists, an I/O error is not an answer."""
    return _patiently(lambda: bool(os.stat(path)), missing=False)


def age(path: Path | str, now: float) -> float | None:
    """Seconds from the file's last change to `now`; None if there is no file."""
    changed = _patiently(lambda: os.stat(path).st_mtime, missing=None)
    return None if changed is None else now - changed


def names(folder: Path | str) -> list[str]:
    """The names in `folder`, sorted, without hidden ones (temporary files); none if there is no such folder."""
    return sorted(name for name in listing(folder) if not name.startswith("."))


def listing(folder: Path | str) -> list[str]:
    """All names in `folder`, in no order; none if there is no such folder."""
    return _patiently(lambda: os.listdir(folder), missing=[])


def read(path: Path | str) -> bytes | None:
    """The bytes of a file, or None if there is none; StoreError as `open_to_read`. (A third faster than `open` for the
    small files of a store.)"""
    return _patiently(lambda: _read(path), missing=None)


def _read(path: Path | str) -> bytes:
    descriptor = _opened(path, os.O_RDONLY)
    try:
        data = os.read(descriptor, 1 << 14)
        if len(data) == 1 << 14:
            # All at once, as to put a plan of 25 MB together takes as long as to read it.
            os.lseek(descriptor, 0, os.SEEK_SET)
            data = os.read(descriptor, os.fstat(descriptor).st_size)
        parts = [data]
        while part := os.read(descriptor, 1 << 16):
            parts.append(part)
        return b"".join(parts) if len(parts) > 1 else data
    finally:
        os.close(descriptor)


def open_to_read(path: Path | str) -> io.BufferedReader:
    """A file, open; StoreError for a pipe, which would be waited for, a socket, a folder or a device."""
    return open(path, "rb", opener=_opened)


def _opened(path: Path | str, flags: int) -> int:
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        if error.errno not in (errno.ENXIO, errno.ELOOP):  # a socket, links in a circle
            raise
    else:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    raise StoreError(f"{os.fspath(path)}: is not a file; move it away")


def server_time(folder: Path) -> float:
    """The clock of the file server, by the time stamp of a file just made in `folder`."""
    probe = folder / f".probe-{os.urandom(8).hex()}"
    try:
        with probe.open("xb") as file:
            return os.fstat(file.fileno()).st_mtime
    finally:
        probe.unlink(missing_ok=True)


def utc(moment: float | None = None) -> str:
    """A moment in seconds since 1970, or now, as 2025-01-31T12:00:00Z."""
    return datetime.fromtimestamp(time.time() if moment is None else moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
