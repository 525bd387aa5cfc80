"""Where a data set lies: in the data folder, or as links to sources that are only read, beside what is made of them.

Sources on a shared disk stay where they are. A folder of links to them stands for them, to which unpacked archives,
token files and the manifest are added. It is DATA/NAME where one may write there, else below the cache.
"""

from __future__ import annotations

import errno
import fnmatch
import hashlib
import os
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Protocol

from optathlon.tasks.data.files import is_litter, write_whole
from optathlon.tasks.errors import DataError

MANIFEST = "manifest.json"
SOURCE = ".taken-from"
"""In a folder of links: the folder that they lead to."""
FEW = (1000, 20)
"""Of the folders below the source, and of those below them, such as have at most so many entries are made anew, so that
archives in them can be unpacked there; all others are links."""
READ_ONLY = {errno.EACCES, errno.EROFS, errno.EPERM}


def user_cache() -> Path:
    """Where the suite keeps what it can make or fetch again: $OPTATHLON_CACHE, or optathlon in the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("OPTATHLON_CACHE") or Path(base) / "optathlon")


def cache() -> Path:
    """Where prepared data is kept for data folders that cannot be written to."""
    return user_cache() / "data"


def cached(root: Path, name: str) -> Path:
    """Where `name` of the data folder `root` is prepared if nothing can be written there."""
    return cache() / hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:16] / name


def folder_of(root: Path, name: str) -> Path:
    """The folder of data set `name` below the data folder `root`: root/name, or its place in the cache if only that
    was prepared."""
    folder, in_cache = Path(root) / name, cached(root, name)
    return in_cache if not (folder / MANIFEST).is_file() and (in_cache / MANIFEST).is_file() else folder


def is_writable(folder: Path) -> bool:
    """Whether `folder`, or the nearest above it that exists, can be written to."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError as error:
        return error.errno not in READ_ONLY


class Named(Protocol):
    """What is asked of a data set here; see Dataset."""

    name: ClassVar[str]
    get: ClassVar[str]
    entries: ClassVar[tuple[str, ...]]


def to_prepare(root: Path, dataset: Named, source: Path | None) -> Path:
    """The folder in which `dataset` is to be prepared; one of links is made, or brought up to date.

    source: where the data lies, if not in root/name. DataError if there is none of it, or if root/name holds other
    files.
    """
    name, folder = dataset.name, Path(root) / dataset.name
    if source is None or os.path.realpath(source) == os.path.realpath(folder):
        source = _source_of(folder) or (folder if folder.is_dir() else _source_of(cached(root, name)))
        if source is None:
            raise DataError(
                f"{name}: {folder} does not exist; {dataset.get}; if that lies elsewhere already, `optathlon data"
                f" prepare {name} --from FOLDER`"
            )
        if source == folder and is_writable(folder):
            return folder
    if not source.is_dir():
        raise DataError(f"{name}: {source} is no folder; expected the one in which the data lies")
    target = folder if source != folder and is_writable(folder) else cached(root, name)
    if target.is_dir() and not (target / SOURCE).is_file() and any(not is_litter(n) for n in os.listdir(target)):
        raise DataError(f"{name}: {target} holds files of its own, which are left alone; give another --data folder")
    link(source, target, ("*",) if source == folder else dataset.entries)
    return target


def _source_of(folder: Path) -> Path | None:
    """Where the links in `folder` lead to, if it is one of links."""
    try:
        return Path(os.fsdecode((folder / SOURCE).read_bytes()))
    except OSError:
        return None


def link(source: Path, folder: Path, patterns: Collection[str]) -> None:
    """Make `folder` one of links to those entries of `source` whose names match one of the `patterns`.

    What lies there as files of its own, as what was unpacked, stays. DataError if nothing matches.
    """
    names = [n for n in _entries(source) if any(fnmatch.fnmatchcase(n, pattern) for pattern in patterns)]
    if not names:
        raise DataError(f"{folder.name}: {source} holds none of {', '.join(patterns)}")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / SOURCE, os.fsencode(source.absolute()))
    links = {path for entry in names for path in _link(source.absolute() / entry, folder / entry, FEW)}
    _remove_links(folder, len(FEW), links)


def _entries(folder: Path) -> list[str]:
    """Names in `folder` that are neither litter nor ours."""
    return sorted(n for n in os.listdir(folder) if not is_litter(n) and n not in (MANIFEST, "files.tsv"))


def _link(source: Path, target: Path, few: Sequence[int]) -> Iterator[Path]:
    """Have `target` lead to `source`; yields the links. One that does so already is not touched, as another process may
    be reading through it."""
    if few and source.is_dir() and len(names := _entries(source)) <= few[0]:
        if target.is_symlink():
            target.unlink()
        target.mkdir(exist_ok=True)
        for name in names:
            yield from _link(source / name, target / name, few[1:])
        return
    if target.is_symlink() and target.readlink() != source:
        target.unlink()
    with suppress(FileExistsError):  # a file of its own, as what was unpacked; or another process was faster
        target.symlink_to(source)
    yield target


def _remove_links(folder: Path, depth: int, links: Collection[Path]) -> None:
    for entry in [*os.scandir(folder)]:
        path = Path(entry.path)
        if entry.is_symlink() and path not in links:
            path.unlink(missing_ok=True)
        elif depth and entry.is_dir(follow_symlinks=False):
            _remove_links(path, depth - 1, links)
