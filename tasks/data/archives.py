"""Unpacking official archives, whole or not at all."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
import zlib
from pathlib import Path

from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError)
"""What tarfile and zipfile raise for a broken archive; RuntimeError for an encrypted one or an unknown compression."""


def unpack(archive: Path, tree: Path, md5: str | None) -> None:
    """Unpack the folder `tree.name` of `archive` (tar or zip) to become `tree`, whole or not at all.

    DataError if the archive has not that `md5`. Python 3.11.2, which Debian 12 has, knows no extraction filters for tar
    files, so these must be known to be harmless; zipfile never writes outside.
    """
    if md5 is not None and (seen := file_digest(archive, "md5")) != md5:
        raise DataError(f"{archive} has MD5 {seen}, expected {md5}: fetch it again")
    try:
        with workspace(archive.parent, ".unpacking-") as work:
            shutil.unpack_archive(archive, work, "zip" if archive.suffix == ".zip" else "gztar")
            inside = work / tree.name
            if not inside.is_dir():
                raise DataError(f"{archive} holds no folder {tree.name}/; expected the official archive")
            inside.rename(tree)
    except (*DAMAGED, shutil.ReadError, OSError) as error:
        raise DataError(f"{archive} cannot be unpacked into {tree} ({error}); fetch it again") from None
