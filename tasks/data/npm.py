"""Packages of the npm registry, fetched by pinned digest: art that no Python package has."""

from __future__ import annotations

import base64
import io
import os
import re
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.data.pinned_files import pinned_file
from optathlon.tasks.data.places import user_cache

REGISTRY = "https://registry.npmjs.org/"


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

    @property
    def source(self) -> Source:
        """What a stand-in says of a package that it was made from."""
        return Source(package=self.name, version=self.version, digest=self.digest, licence=self.licence)


def registry() -> str:
    """The registry npm is told to use by NPM_CONFIG_REGISTRY or ~/.npmrc, else the public one; ends with a slash."""
    url = next((value for name, value in os.environ.items() if name.lower() == "npm_config_registry" and value), "")
    if not url:
        try:
            lines = (Path.home() / ".npmrc").read_text(encoding="utf-8").splitlines()
        except (OSError, RuntimeError, UnicodeDecodeError):
            lines = []
        matches = (re.fullmatch(r"""\s*registry\s*=\s*["']?(https?://[^\s"']+)["']?\s*""", line) for line in lines)
        url = next((match[1] for match in matches if match), REGISTRY)
    return url.rstrip("/") + "/"


def cache() -> Path:
    """Where tarballs are kept between calls."""
    return user_cache() / "npm"


def files(package: Package, names: Iterable[str]) -> dict[str, bytes]:
    """The contents of those of `names` ("icons.json") that `package` has; DataError if it cannot be had whole."""
    wanted = {f"package/{name}": name for name in names}
    with tarfile.open(fileobj=io.BytesIO(_tarball(package)), mode="r:gz") as tar:
        members = [(m, tar.extractfile(m)) for m in tar if m.isfile() and m.name in wanted]
        return {wanted[member.name]: content.read() for member, content in members if content}


def _tarball(package: Package) -> bytes:
    path = cache() / package.file
    url = f"{registry()}{package.name}/-/{package.name.rpartition('/')[2]}-{package.version}.tgz"
    remedy = (
        f"run `npm pack {package.name}@{package.version}` where there is a network and put the file into {path.parent}"
    )
    label = f"npm: {package.name} {package.version}"
    return pinned_file(url, path, f"sha512:{package.digest}", label, remedy)
