"""Packages of the npm registry, fetched by pinned digest: art that no Python package has."""

from __future__ import annotations

import base64
import hashlib
import http.client
import io
import os
import re
import tarfile
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.errors import DataError

REGISTRY = "https://registry.npmjs.org/"
SECONDS = 60


class Package(NamedTuple):
    """A version of an npm package; `integrity` is the base64 of its tarball's SHA-512, as npm's lock files have it."""

    name: str
    version: str
    integrity: str
    licence: str

    @property
    def file(self) -> str:
        """The name that `npm pack` gives the tarball."""
        return f"{self.name.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def digest(self) -> str:
        """SHA-512 of the tarball in hexadecimal."""
        return base64.b64decode(self.integrity).hex()


def registry() -> str:
    """The registry npm is told to use by NPM_CONFIG_REGISTRY or ~/.npmrc, else the public one; ends with a slash."""
    told = next((value for name, value in os.environ.items() if name.lower() == "npm_config_registry" and value), "")
    if not told:
        try:
            lines = (Path.home() / ".npmrc").read_text(encoding="utf-8").splitlines()
        except (OSError, RuntimeError, UnicodeDecodeError):
            lines = []
        found = (re.fullmatch(r"""\s*registry\s*=\s*["']?(https?://[^\s"']+)["']?\s*""", line) for line in lines)
        told = next((match[1] for match in found if match), REGISTRY)
    return told.rstrip("/") + "/"


def cache() -> Path:
    """Where tarballs are kept between calls."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "optathlon" / "npm"


def files(package: Package, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of those of `names` ("icons.json") that `package` has; DataError if it cannot be had whole."""
    wanted = {f"package/{name}": name for name in names}
    with tarfile.open(fileobj=io.BytesIO(_tarball(package)), mode="r:gz") as tar:
        members = [(m, tar.extractfile(m)) for m in tar if m.isfile() and m.name in wanted]
        return {wanted[member.name]: content.read() for member, content in members if content}


def _tarball(package: Package) -> bytes:
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
    return hashlib.sha512(content).hexdigest() == package.digest


def _fetch(package: Package, path: Path) -> bytes:
    url = f"{registry()}{package.name}/-/{package.name.rpartition('/')[2]}-{package.version}.tgz"
    remedy = (
        f"run `npm pack {package.name}@{package.version}` where there is a network and put the file into {path.parent}"
    )
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise DataError(f"npm: {url} cannot be fetched ({error}); {remedy}") from None
    if not _whole(package, content):
        raise DataError(
            f"npm: {url} gave {len(content):,} bytes that are not {package.name} {package.version}; {remedy}"
        )
    return content


def _keep(path: Path, content: bytes) -> None:
    """Put the tarball into the cache; without a cache it is fetched each time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
    except OSError:
        pass
