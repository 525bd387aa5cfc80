"""Packages of Debian, fetched by pinned digest: data that no Python package has."""

from __future__ import annotations

import hashlib
import http.client
import io
import os
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.errors import DataError

MIRROR = "http://deb.debian.org/debian/"
SECONDS = 120
MAGIC, HEAD = b"!<arch>\n", 60  # of an ar archive, which a .deb is; bytes before each of its members


class Package(NamedTuple):
    """A version of a Debian package; `sha256` is that of its .deb, which lies in `pool` below a mirror."""

    name: str
    version: str
    pool: str
    sha256: str
    licence: str

    @property
    def file(self) -> str:
        """The name that `apt-get download` gives the .deb."""
        return f"{self.name}_{self.version}_all.deb"


def cache() -> Path:
    """Where packages are kept between calls."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optathlon" / "debian"


def files(package: Package, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of those of `names` ("usr/share/...") that `package` has, and of all below a name that ends with a
    slash; DataError if it cannot be had whole."""
    wanted = [*names]
    folders = tuple(f"./{name}" for name in wanted if name.endswith("/"))
    exact = {f"./{name}" for name in wanted}
    archive = io.BytesIO(_member(_package(package), "data.tar"))
    with tarfile.open(fileobj=archive, mode="r:*") as tar:
        found = [m for m in tar if m.isfile() and (m.name in exact or m.name.startswith(folders))]
        members = [(m.name.removeprefix("./"), tar.extractfile(m)) for m in found]
        return {name: content.read() for name, content in members if content}


def _member(deb: bytes, beginning: str) -> bytes:
    """The member of an ar archive whose name has that `beginning`."""
    place = len(MAGIC)
    while place < len(deb):
        name, size = deb[place : place + 16].decode(), int(deb[place + 48 : place + 58])
        place += HEAD
        if name.startswith(beginning):
            return deb[place : place + size]
        place += size + size % 2
    raise DataError(f"debian: a package without {beginning}")


def _package(package: Package) -> bytes:
    path = cache() / package.file
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if not _whole(package, content):
        content = _fetch(package, path)
        _keep(path, content)
    return content


def _whole(package: Package, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == package.sha256


def _fetch(package: Package, path: Path) -> bytes:
    url = f"{MIRROR}{package.pool}/{package.file}"
    remedy = (
        f"run `apt-get download {package.name}={package.version}` on Debian 12 where there is a network and put the"
        f" file into {path.parent}"
    )
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise DataError(f"debian: {url} cannot be fetched ({error}); {remedy}") from None
    if not _whole(package, content):
        raise DataError(
            f"debian: {url} gave {len(content):,} bytes that are not {package.name} {package.version}; {remedy}"
        )
    return content


def _keep(path: Path, content: bytes) -> None:
    """Put the package into the cache; without a cache it is fetched each time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
    except OSError:
        pass
