"""Packages of Debian, fetched by pinned digest: data that no Python package has."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.pinned_files import pinned_file
from optathlon.tasks.data.places import user_cache
from optathlon.tasks.errors import DataError

MIRROR = "http://deb.debian.org/debian/"
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

    @property
    def source(self) -> Source:
        """What a stand-in says of a package that it was made from."""
        return Source(package=self.name, version=self.version, digest=self.sha256, licence=self.licence)


def cache() -> Path:
    """Where packages are kept between calls."""
    return user_cache() / "debian"


def files(package: Package, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of those of `names` ("usr/share/...") that `package` has, and of all below a name that ends with a
    slash; DataError if it cannot be had whole."""
    paths = [*names]
    folders = tuple(f"./{name}" for name in paths if name.endswith("/"))
    exact = {f"./{name}" for name in paths}
    archive = io.BytesIO(_member(_package(package), "data.tar"))
    with tarfile.open(fileobj=archive, mode="r:*") as tar:
        members = [m for m in tar if m.isfile() and (m.name in exact or m.name.startswith(folders))]
        contents = [(m.name.removeprefix("./"), tar.extractfile(m)) for m in members]
        return {name: content.read() for name, content in contents if content}


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
    url = f"{MIRROR}{package.pool}/{package.file}"
    remedy = (
        f"run `apt-get download {package.name}={package.version}` on Debian 12 where there is a network and put the"
        f" file into {path.parent}"
    )
    label = f"debian: {package.name} {package.version}"
    return pinned_file(url, path, f"sha256:{package.sha256}", label, remedy)
