"""Archives are unpacked whole or not at all; what is damaged, hostile or too large is named."""

from __future__ import annotations

import io
import os
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest

from optathlon.tasks.data import archives
from optathlon.tasks.data.archives import unpack
from optathlon.tasks.errors import DataError


def tar(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w:gz") as file:
        for name, content in members.items():
            info = content if isinstance(content, tarfile.TarInfo) else tarfile.TarInfo(name)
            info.size = 0 if isinstance(content, tarfile.TarInfo) else len(content)
            file.addfile(info, None if isinstance(content, tarfile.TarInfo) else io.BytesIO(content))
    return path


def zipped(path: Path, members: dict[str, bytes], method: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


PACK = {"a.tgz": tar, "a.zip": zipped}


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.mark.parametrize("name", PACK)
def test_a_folder_is_unpacked_without_litter_and_what_lies_beside_it(tmp_path: Path, name: str) -> None:
    members = {"top/a": b"1", "./top/b/c": b"2", "beside": b"3", "top/._a": b"4", "__MACOSX/top/._a": b"5"}
    unpack(PACK[name](tmp_path / name, members), tmp_path / "top", None)
    assert tree(tmp_path / "top") == {"a": b"1", "b/c": b"2"}


@pytest.mark.parametrize("name", PACK)
@pytest.mark.parametrize("bad", ["../out", "top/../../out", "{outside}/out"])
def test_nothing_is_written_outside(tmp_path: Path, name: str, bad: str) -> None:
    member = bad.format(outside=tmp_path)
    unpack(PACK[name](tmp_path / name, {"top/a": b"1", member: b"evil"}), tmp_path / "in" / "top", None)
    assert {p.name for p in tmp_path.rglob("*") if p.is_file()} == {name, "a"}


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.GNUTYPE_SPARSE]
)
def test_what_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    member = tarfile.TarInfo("top/link")
    member.type, member.linkname = kind, "/etc/passwd"
    with pytest.raises(DataError, match=r"a\.tgz: top/link is not a plain file"):
        unpack(tar(tmp_path / "a.tgz", {"top/a": b"1", "top/link": member}), tmp_path / "top", None)
    assert not (tmp_path / "top").exists()


@pytest.mark.parametrize(
    "error", [struct.error, AttributeError, TypeError, IndexError, OverflowError, EOFError, RuntimeError, ValueError]
)
def test_whatever_the_libraries_raise_for_damage_is_named(tmp_path: Path, monkeypatch, error: type) -> None:
    def broken(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(tarfile, "open", broken)
    (tmp_path / "a.tar").touch()
    with pytest.raises(DataError, match=rf"a\.tar cannot be unpacked, it is damaged \({error.__name__}\)"):
        unpack(tmp_path / "a.tar", tmp_path / "top", None)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_what_is_no_plain_file_is_refused_in_a_zip_too(tmp_path: Path, kind: int) -> None:
    link = zipfile.ZipInfo("top/link")
    link.create_system, link.external_attr = 3, (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as file:
        file.writestr("top/a", b"1")
        file.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"a\.zip: top/link is not a plain file"):
        unpack(tmp_path / "a.zip", tmp_path / "top", None)
    assert os.listdir(tmp_path) == ["a.zip"]


def test_an_encrypted_zip_is_not_damaged_but_asks_for_its_password(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "a.zip", {"top/a": b"1"})
    entry = b"PK\1\2\x14\3\x14\0"
    assert entry in archive.read_bytes()
    archive.write_bytes(archive.read_bytes().replace(entry + b"\0", entry + b"\1"))
    with pytest.raises(DataError, match=r"a\.zip is encrypted \(top/a\); unpack it to .* with the password"):
        unpack(archive, tmp_path / "top", None)


@pytest.mark.parametrize("name", PACK)
def test_more_than_expected_is_refused(tmp_path: Path, name: str) -> None:
    archive = PACK[name](tmp_path / name, {"top/a": b"1" * 60, "top/b": b"2" * 60})
    with pytest.raises(DataError, match="top/b has 60 bytes, more than the 40 expected"):
        unpack(archive, tmp_path / "top", None, largest=100)
    assert os.listdir(tmp_path) == [name]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "MOST_MEMBERS", 2)
    for name, pack in PACK.items():
        with pytest.raises(DataError, match="holds more than 2 files"):
            unpack(pack(tmp_path / name, {f"top/{i}": b"" for i in range(5)}), tmp_path / "top", None)


def damaged_lzma(path: Path) -> Path:
    zipped(path, {"top/a": os.urandom(99) * 50}, zipfile.ZIP_LZMA)
    content = bytearray(path.read_bytes())
    content[45:60] = bytes(15)
    path.write_bytes(content)
    return path


def odd_name(path: Path) -> Path:
    zipped(path, {"top/aä": b"1"})
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xff"))
    return path


def sparse_header(path: Path) -> Path:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as file:
        info = tarfile.TarInfo("top/a")
        info.pax_headers = {"GNU.sparse.map": "0,x,y", "GNU.sparse.size": "9"}
        file.addfile(info)
    return path


def huge_header(path: Path) -> Path:
    info = tarfile.TarInfo("././@LongLink")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 1 << 62
    path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + bytes(2048))
    return path


@pytest.mark.parametrize(
    ("name", "damage"),
    [("a.zip", damaged_lzma), ("a.zip", odd_name), ("a.tar", sparse_header), ("a.tar", huge_header)],
)
def test_damage_that_the_libraries_stumble_over_is_named(tmp_path: Path, name: str, damage) -> None:
    archive = damage(tmp_path / name)
    with pytest.raises(DataError, match=rf"{name} (cannot be unpacked, it is damaged|holds no folder)"):
        unpack(archive, tmp_path / "top", None)
    assert os.listdir(tmp_path) == [name]


def test_a_file_where_a_folder_should_be_is_damage_but_a_full_disk_is_not(tmp_path: Path, monkeypatch) -> None:
    archive = zipped(tmp_path / "a.zip", {"top/a": b"1", "top/a/b": b"2"})
    with pytest.raises(DataError, match="it is damaged"):
        unpack(archive, tmp_path / "top", None)

    def full(*_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(archives.shutil, "copyfileobj", full)
    with pytest.raises(OSError, match=r"No space left on device: .*/a'"):
        unpack(archive, tmp_path / "top", None)
