"""Packages of Debian: taken whole by their digest, from the cache or a mirror, and read without dpkg."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from optathlon.tasks.data import debian
from optathlon.tasks.data.debian import Package, files
from optathlon.tasks.errors import DataError


def ar(members: dict[str, bytes]) -> bytes:
    """An archive of Unix's kind; members of odd length are followed by a line feed."""
    made = b"!<arch>\n"
    for name, content in members.items():
        made += f"{name:16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        made += b"\n" * (len(content) % 2)
    return made


def tar(members: dict[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:xz") as archive:
        for name, content in members.items():
            head = tarfile.TarInfo(name)
            head.size = len(content)
            archive.addfile(head, io.BytesIO(content))
    return made.getvalue()


DEB = ar(
    {
        "debian-binary": b"2.0\n",
        "control.tar.xz": b"odd",
        "data.tar.xz": tar({"./usr/share/a": b"apple", "./usr/share/b": b"bee"}),
    }
)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path / "cache"))
    mirror = tmp_path / "mirror"
    (mirror / "pool").mkdir(parents=True)
    monkeypatch.setattr(debian, "MIRROR", mirror.as_uri() + "/")
    found = Package("fruit", "1.0-1", "pool", hashlib.sha256(DEB).hexdigest(), "MIT")
    (mirror / "pool" / found.file).write_bytes(DEB)
    return found


def test_files_come_from_the_mirror_and_then_from_the_cache(package: Package, tmp_path: Path) -> None:
    assert files(package, ["usr/share/b", "usr/share/c"]) == {"usr/share/b": b"bee"}
    assert (tmp_path / "cache/debian/fruit_1.0-1_all.deb").read_bytes() == DEB
    (tmp_path / "mirror/pool/fruit_1.0-1_all.deb").unlink()
    assert files(package, ["usr/share/a"]) == {"usr/share/a": b"apple"}


def test_a_damaged_package_in_the_cache_is_fetched_again(package: Package) -> None:
    debian.cache().mkdir(parents=True)
    (debian.cache() / package.file).write_bytes(DEB[:-10])
    assert files(package, ["usr/share/a"]) == {"usr/share/a": b"apple"}
    assert (debian.cache() / package.file).read_bytes() == DEB


def test_another_package_than_the_pinned_one_is_refused(package: Package) -> None:
    with pytest.raises(DataError, match=r"bytes that are not fruit 1\.0-1; run `apt-get download fruit=1\.0-1`"):
        files(package._replace(sha256="0" * 64), ["usr/share/a"])
    assert not (debian.cache() / package.file).exists()


def test_without_a_mirror_the_message_says_what_to_put_where(package: Package) -> None:
    with pytest.raises(DataError, match=r"cannot be fetched .*run `apt-get download pear=2.*cache/debian"):
        files(package._replace(name="pear", version="2"), ["usr/share/a"])


def test_a_package_without_content_is_refused(package: Package) -> None:
    empty = ar({"debian-binary": b"2.0\n"})
    debian.cache().mkdir(parents=True)
    (debian.cache() / package.file).write_bytes(empty)
    with pytest.raises(DataError, match=r"without data\.tar"):
        files(package._replace(sha256=hashlib.sha256(empty).hexdigest()), ["usr/share/a"])


def test_a_name_that_ends_with_a_slash_stands_for_all_below_it(package: Package) -> None:
    assert files(package, ["usr/share/"]) == {"usr/share/a": b"apple", "usr/share/b": b"bee"}
    assert files(package, ["usr/sh"]) == {}
