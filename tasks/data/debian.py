"""Packages of Debian, fetched by pinned digest with apt-get: sounds and tunes that no Python package has."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.errors import DataError

MAGIC, HEADER = b"!<arch>\n", 60
SECONDS = 300


class Package(NamedTuple):
    """A version of a package for all architectures; `digest` is the SHA-256 of its .deb."""

    name: str
    version: str
    digest: str
    licence: str

    @property
    def file(self) -> str:
        """The name that `apt-get download` gives the .deb."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_all.deb"

    @property
    def source(self) -> Source:
        return Source(package=self.name, version=self.version, digest=self.digest, licence=self.licence)


def cache() -> Path:
    """Where .deb files are kept between calls."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optathlon" / "debian"


def files(package: Package, paths: Iterable[str]) -> dict[str, bytes]:
    """The contents of those of `paths` ("usr/share/x") that `package` has, and of all files below a path that ends with
    a slash; DataError if it cannot be had whole."""
    wanted = tuple(paths)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(_data(_deb(package))), mode="r:*") as tar:
        for member in tar:
            name = member.name.removeprefix("./")
            inside = any(name == path or (path.endswith("/") and name.startswith(path)) for path in wanted)
            if inside and member.isfile() and (content := tar.extractfile(member)) is not None:
                found[name] = content.read()
    return found


def _data(deb: bytes) -> bytes:
    """The archive of the files in a .deb, which is an `ar` archive of three members."""
    place = len(MAGIC)
    while place + HEADER <= len(deb):
        header = deb[place : place + HEADER]
        name, size = header[:16].decode("ascii").strip().rstrip("/"), int(header[48:58])
        place += HEADER
        if name.startswith("data.tar"):
            return deb[place : place + size]
        place += size + size % 2
    raise DataError("a Debian package holds no data.tar; remove it from the cache")


def _deb(package: Package) -> bytes:
    path = cache() / package.file
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if not _whole(package, content):
        _fetch(package)
        content = path.read_bytes()
    return content


def _whole(package: Package, content: bytes) -> bool:
    return hashlib.sha256(content).hexdigest() == package.digest


def _fetch(package: Package) -> None:
    """Have apt-get put the .deb into the cache; DataError with what to do where that fails."""
    told = f"{package.name}={package.version}"
    remedy = f"run `apt-get update` and `apt-get download {told}` on Debian 12 and put the file into {cache()}"
    if shutil.which("apt-get") is None:
        raise DataError(f"{package.file} is needed and there is no apt-get here; {remedy}")
    cache().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache(), prefix=".apt-") as work:
        try:
            argv = ["apt-get", "download", "-q", told]
            done = subprocess.run(argv, cwd=work, capture_output=True, text=True, timeout=SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise DataError(f"`apt-get download {told}` failed ({error}); {remedy}") from None
        fetched = Path(work) / package.file
        if done.returncode or not fetched.is_file():
            reason = (done.stderr.strip().splitlines() or ["no such file came"])[-1]
            raise DataError(f"`apt-get download {told}` failed ({reason}); {remedy}")
        if not _whole(package, fetched.read_bytes()):
            raise DataError(f"`apt-get download {told}` gave a file that has not SHA-256 {package.digest}; {remedy}")
        fetched.replace(cache() / package.file)
