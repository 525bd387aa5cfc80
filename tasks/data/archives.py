"""Unpacking archives, tar or zip, whole or not at all: plain files only, so many bytes at most, nothing outside."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from optathlon.tasks.data.files import file_digest, is_litter, writing
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError, one_line

DAMAGED = (
    tarfile.TarError,
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    struct.error,
    EOFError,
    RuntimeError,  # an encrypted zip, or an unknown compression
    ValueError,  # a tar's sparse map; a zip's names that are no UTF-8
    LookupError,
    ArithmeticError,
    AttributeError,
    TypeError,
    MemoryError,  # a header that announces terabytes
)
"""What tarfile and zipfile raise for a broken archive: both trust what it says."""

DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO, errno.EMFILE}
"""Errors of the disk, not of the archive."""

LARGEST = 256 << 30
"""The most bytes that an archive may unpack to; ImageNet's largest has 148 GB."""
MOST_MEMBERS = 5_000_000
ENCRYPTED, UNIX = 1, 3
"""A bit of a zip member's flags; the system whose modes of files a zip has."""
PIECE = 1 << 20


class Member(NamedTuple):
    """An entry of an archive: its name, its size in bytes, and for a plain file how to open it."""

    name: PurePosixPath
    size: int
    is_folder: bool
    open: Callable[[], IO[bytes] | None]


@contextmanager
def reading(archive: Path, remedy: str = "fetch it again") -> Iterator[None]:
    """DataError with the `remedy` for whatever shows that `archive` is damaged. A full disk stays an OSError."""
    try:
        yield
    except DataError:
        raise
    except (*DAMAGED, OSError) as error:
        if isinstance(error, OSError) and error.errno in DISK:
            raise
        reason = one_line(error) or type(error).__name__
        raise DataError(f"{archive} cannot be unpacked, it is damaged ({reason:.200}); {remedy}") from None


def check_digest(archive: Path, digest: str, algorithm: str = "md5") -> None:
    """DataError unless the archive has that digest. tarfile takes a damaged header for the end of an archive, so
    nothing but the digest tells that a tar is whole."""
    if (actual := file_digest(archive, algorithm)) != digest:
        size = f"{archive.stat().st_size:,} bytes"
        raise DataError(f"{archive} has {algorithm.upper()} {actual} ({size}), expected {digest}: fetch it again")


def unpack(
    archive: Path,
    tree: Path,
    md5: str | None,
    *,
    inside: str | None = None,
    only: Collection[str] = (),
    largest: int = LARGEST,
    remedy: str = "fetch it again",
) -> None:
    """Unpack the folder `inside` (default: `tree.name`; ".": all) of `archive` to become `tree`, whole or not at all.

    only: the names of the files to take, if not all. DataError if the archive is damaged, has not that `md5`, holds no
    such folder or file, more than `largest` bytes, or what is no plain file: Python 3.11.2, which Debian 12 has, knows
    no extraction filters. Litter is left out.
    """
    if md5 is not None:
        check_digest(archive, md5)
    base = PurePosixPath(tree.name if inside is None else inside)
    tree.parent.mkdir(parents=True, exist_ok=True)
    with reading(archive, remedy), workspace(tree.parent, ".unpacking-") as work:
        new = work / "tree"
        written = _write(archive, base, {*only}, new, largest)
        if missing := sorted({*only} - written):
            raise DataError(f"{archive} holds no {base / missing[0]}; {remedy}")
        if not new.exists():
            raise DataError(f"{archive} holds no folder {base}/; expected the official archive")
        _publish(new, tree)


def _write(archive: Path, base: PurePosixPath, only: set[str], new: Path, largest: int) -> set[str]:
    """Write what lies below `base` to the folder `new`; returns the paths of the files."""
    written: set[str] = set()
    for member in _members(archive):
        path = _below(base, member.name)
        if path is None or any(map(is_litter, path.parts)) or (only and str(path) not in only):
            continue
        target = new / path
        if member.is_folder and not only:
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        largest -= _copy(archive, member, target, largest)
        written.add(str(path))
    return written


def _publish(new: Path, tree: Path) -> None:
    """Give the folder `new` the name `tree`; if that is there, what it lacks is put into it, file by file."""
    if not tree.exists():
        new.rename(tree)
        return
    for path in sorted(path for path in new.rglob("*") if path.is_file()):
        target = tree / path.relative_to(new)
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _members(archive: Path) -> Iterator[Member]:
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive) as file:
            infos = file.infolist()
            _limit(archive, len(infos))
            for info in infos:
                name, open_it = PurePosixPath(info.filename), lambda i=info: file.open(i) if _is_plain(i) else None
                if info.flag_bits & ENCRYPTED:
                    raise DataError(
                        f"{archive} is encrypted ({name}); unpack it to {archive.parent} with the password that its"
                        " authors give, and prepare the data again"
                    )
                yield Member(name, info.file_size, info.is_dir(), open_it)
        return
    with tarfile.open(archive, "r:*") as tar:
        for number, info in enumerate(tar):
            _limit(archive, number)
            open_it = (lambda i=info: tar.extractfile(i)) if info.isreg() and not info.issparse() else lambda: None
            yield Member(PurePosixPath(info.name), info.size, info.isdir(), open_it)


def _is_plain(info: zipfile.ZipInfo) -> bool:
    """Whether a member of a zip is a file by its mode, where the system that packed it has any: links are none."""
    kind = stat.S_IFMT(info.external_attr >> 16)
    return info.create_system != UNIX or kind in (0, stat.S_IFREG)


def _limit(archive: Path, count: int) -> None:
    if count > MOST_MEMBERS:
        raise DataError(f"{archive} holds more than {MOST_MEMBERS:,} files; expected the official archive")


def _below(base: PurePosixPath, name: PurePosixPath) -> PurePosixPath | None:
    """`name` from `base` on; None for what lies elsewhere."""
    if name.is_absolute() or ".." in name.parts:
        return None
    return name.relative_to(base) if name.is_relative_to(base) else None


def _copy(archive: Path, member: Member, target: Path, most: int) -> int:
    """Write a member to `target`; returns its bytes. DataError if it is no plain file, or larger than `most`."""
    content = member.open()
    if content is None:
        raise DataError(f"{archive}: {member.name} is not a plain file; expected the official archive")
    if member.size > most:
        raise DataError(f"{archive}: {member.name} has {member.size:,} bytes, more than the {most:,} expected")
    with content, writing(target, sync=False) as out:
        shutil.copyfileobj(content, out, PIECE)
    return member.size
