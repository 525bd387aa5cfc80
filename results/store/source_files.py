"""The sources of a store: files of tasks and optimizers from outside, each once, named by what it holds."""

from __future__ import annotations

import hashlib
from pathlib import Path

from optathlon.results.errors import StoreError
from optathlon.results.store.files import read, replace
from optathlon.results.store.layout import DIGEST, Layout


class SourceFiles(Layout):
    """Sources below `root`, by their SHA-256."""

    def keep_source(self, data: bytes) -> str:
        """Write a source, if it is not there whole; returns its SHA-256 in hexadecimal, which is its name."""
        digest = hashlib.sha256(data).hexdigest()
        path = self.source_file(digest)
        if not self._put(path, data) and read(path) != data:
            replace(path, data)  # it was damaged since
        return digest

    def source(self, digest: str) -> bytes:
        """The source of that SHA-256; StoreError if it is not in the store, or not as it was written."""
        path = self.source_file(digest)
        if (data := read(path)) is None:
            raise StoreError(f"{path}: is not there; fetch it from the store in which the run was made")
        if hashlib.sha256(data).hexdigest() != digest:
            raise StoreError(f"{path}: is not what was kept; remove it, and fetch it from where the run was made")
        return data

    def source_file(self, digest: str) -> Path:
        """The file of a source."""
        if not isinstance(digest, str) or not DIGEST.fullmatch(digest):
            raise StoreError(f"{digest!r} is not the digest of a source: 64 lowercase hexadecimal digits")
        return self.root / "sources" / f"{digest}.py"
