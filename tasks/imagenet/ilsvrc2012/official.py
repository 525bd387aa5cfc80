"""The official archives of ILSVRC2012, unpacked to class folders."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from optathlon.tasks.data import archives
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012 import devkit
from optathlon.tasks.imagenet.ilsvrc2012.layout import NAME, TRAIN, VAL

TRAIN_TAR, VAL_TAR, KIT = "ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", f"{devkit.FOLDER}.tar.gz"
MD5 = {
    TRAIN_TAR: "1d675b47d978889d74fa0da5fadfb00e",
    VAL_TAR: "29b22e2961454d5413ddabcf34fc5622",
    KIT: "fa75699e90414af021442c21a62c3abf",
}


def unpack(folder: Path) -> list[str]:
    """Unpack those archives in `folder` whose tree is not there yet, each whole or not at all; returns their names.

    DataError if an archive is damaged, another one than MD5 says, or if the kit is wanted and not there.
    """
    done = []
    if (folder / KIT).is_file() and devkit.find(folder) is None:
        archives.unpack(folder / KIT, folder / devkit.FOLDER, MD5[KIT])
        done.append(KIT)
    for name, tree, write in ((TRAIN_TAR, TRAIN, _write_train), (VAL_TAR, VAL, _write_val)):
        if not (folder / name).is_file() or (folder / tree).exists():
            continue
        archives.check_digest(folder / name, MD5[name])
        _unpack(folder, name, tree, write)
        done.append(name)
    return done


def _unpack(folder: Path, name: str, tree: str, write: Callable[[tarfile.TarFile, Path, Path], None]) -> None:
    with (
        archives.reading(folder / name),
        workspace(folder, ".unpacking-") as work,
        tarfile.open(folder / name, "r:") as tar,
    ):
        (work / tree).mkdir()
        write(tar, work / tree, folder)
        (work / tree).rename(folder / tree)


def _write_train(tar: tarfile.TarFile, tree: Path, _: Path) -> None:
    """A tar of a tar for each class."""
    for name, content in _files(tar):
        inner = tree / name.removesuffix(".tar")
        inner.mkdir()
        with tarfile.open(fileobj=content, mode="r:") as photos:
            for photo, pixels in _files(photos):
                (inner / photo).write_bytes(pixels.read())


def _write_val(tar: tarfile.TarFile, tree: Path, folder: Path) -> None:
    """Photos without folders, whose classes the development kit knows."""
    kit = devkit.find(folder)
    if kit is None:
        raise DataError(f"{NAME}: {VAL_TAR} needs {KIT} beside it in {folder}, which says what its photos show")
    names = sorted(name for name, _ in _files(tar))
    wnids = dict(zip(names, devkit.validation_wnids(kit, names), strict=True))
    for wnid in {*wnids.values()}:
        (tree / wnid).mkdir()
    for name, pixels in _files(tar):
        (tree / wnids[name] / name).write_bytes(pixels.read())


def _files(tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    """Names and contents of the plain files, by their last names alone: no archive may write elsewhere."""
    for member in tar:
        content = tar.extractfile(member) if member.isfile() else None
        name = PurePosixPath(member.name).name
        if content is not None and name and not name.startswith("."):
            yield name, content
