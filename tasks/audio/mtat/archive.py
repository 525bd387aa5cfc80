"""MagnaTagATune's clips in one ZIP archive that was cut into three files."""

from __future__ import annotations

import errno
import io
import os
import shutil
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from optathlon.tasks.audio.mtat.layout import AUDIO, FOLDERS, NAME
from optathlon.tasks.data.archives import check_digest, reading
from optathlon.tasks.data.files import is_litter, writing
from optathlon.tasks.data.progress import counted
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError

WHOLE = "mp3.zip"
WHOLE_MD5 = "f12add0eb4cd6c2a3ab7e4afaf7b7467"
PARTS = {
    "mp3.zip.001": "179c91c8c2a6e9b3da3d4e69d306fd3b",
    "mp3.zip.002": "acf8265ff2e35c6ff22210e46457a824",
    "mp3.zip.003": "582dc649cabb8cd991f09e14b99349a5",
}


class Joined(io.RawIOBase):
    """Files, one after the other, as one that can be read and sought in."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__()
        self._files = [path.open("rb") for path in paths]
        self._sizes = [os.fstat(file.fileno()).st_size for file in self._files]
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: sum(self._sizes)}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, f"position {base + offset} is before the start")
        self._at = base + offset
        return self._at

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # any writable buffer
        """At most to the end of the file that the position lies in; 0 at the end of the last."""
        start = self._at
        for file, size in zip(self._files, self._sizes, strict=True):
            if start < size:
                file.seek(start)
                count = file.readinto(memoryview(buffer)[: size - start])
                self._at += count
                return count
            start -= size
        return 0

    def close(self) -> None:
        for file in self._files:
            file.close()
        super().close()


def archives(folder: Path) -> dict[Path, str]:
    """The archive's files in `folder` with their MD5: the three parts, or the whole; {} if there is none.

    DataError if only some of the parts are there.
    """
    parts = [name for name in PARTS if (folder / name).is_file()]
    if parts and len(parts) < len(PARTS):
        missing = ", ".join(name for name in PARTS if name not in parts)
        raise DataError(f"{NAME}: {folder} has {', '.join(parts)} but not {missing}; fetch all of {', '.join(PARTS)}")
    if parts:
        return {folder / name: md5 for name, md5 in PARTS.items()}
    return {folder / WHOLE: WHOLE_MD5} if (folder / WHOLE).is_file() else {}


def verify(files: dict[Path, str]) -> None:
    """DataError unless each of the `files` has its MD5."""
    for path, md5 in counted(files.items(), len(files), f"{NAME}: MD5 of archives"):
        check_digest(path, md5)


def unpack(files: Sequence[Path], folder: Path) -> None:
    """Unpack the clips of the archive, in pieces or whole, to folder/mp3/0 … f, all or nothing; DataError if it is
    damaged or holds none."""
    with (
        reading(files[0], f"fetch {', '.join(path.name for path in files)} again"),
        workspace(folder, ".unpacking-") as work,
        zipfile.ZipFile(io.BufferedReader(Joined(files))) as whole,
    ):
        clips = {member: _inside(member) for member in whole.namelist() if _inside(member)}
        if not clips:
            raise DataError(f"{NAME}: {files[0]} holds no clips d/name.mp3; expected the archive {WHOLE}")
        for folder_name in FOLDERS:
            (work / folder_name).mkdir()
        for member, path in counted(clips.items(), len(clips), f"{NAME}: unpacking"):
            with whole.open(member) as content, writing(work / path, sync=False) as out:
                shutil.copyfileobj(content, out)
        work.rename(folder / AUDIO)


def _inside(member: str) -> str:
    """d/name.mp3 of an archive's member; "" if it is none."""
    parts = PurePosixPath(member).parts
    if any(map(is_litter, parts)):
        return ""
    folder, name = parts[-2:] if len(parts) > 1 else ("", "")
    return f"{folder}/{name}" if folder in FOLDERS and len(folder) == 1 and name.endswith(".mp3") else ""
