"""Debian packages are read without dpkg, kept by digest, and asked of apt-get by name and version."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from pathlib import Path

import pytest

from optathlon.tasks.data import debian
from optathlon.tasks.data.debian import Package
from optathlon.tasks.errors import DataError


def deb(files: dict[str, bytes]) -> bytes:
    """A .deb as dpkg-deb writes it: an `ar` of three members, of which one has an odd size."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed = b"!<arch>\n"
    for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
        packed += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode() + content
        packed += b"\n" * (len(content) % 2)
    return packed


CONTENT = deb({"usr/share/a.txt": b"one", "usr/share/b/c.txt": b"two", "usr/share/b/d/e.txt": b"three"})
PACKAGE = Package("some-sounds", "1:2.0-3", hashlib.sha256(CONTENT).hexdigest(), "MIT")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    debian.cache().mkdir(parents=True)
    return debian.cache()


def apt(monkeypatch, content: bytes | None) -> list[list[str]]:
    """As if there were an apt-get that brings `content`."""
    asked: list[list[str]] = []

    def run(argv, cwd, **_: object) -> subprocess.CompletedProcess:
        asked.append(argv)
        if content is None:
            return subprocess.CompletedProcess(argv, 100, "", "E: Version '2.0' for 'some-sounds' was not found\n")
        (Path(cwd) / PACKAGE.file).write_bytes(content)
        return subprocess.CompletedProcess(argv, 0, "", "")

    monkeypatch.setattr(debian.shutil, "which", lambda _: "/usr/bin/apt-get")
    monkeypatch.setattr(debian.subprocess, "run", run)
    return asked


def test_files_are_found_by_name_and_by_folder(cache):
    (cache / PACKAGE.file).write_bytes(CONTENT)
    assert PACKAGE.file == "some-sounds_1%3a2.0-3_all.deb"
    assert debian.files(PACKAGE, ["usr/share/a.txt"]) == {"usr/share/a.txt": b"one"}
    assert debian.files(PACKAGE, ["usr/share/b/"]) == {"usr/share/b/c.txt": b"two", "usr/share/b/d/e.txt": b"three"}


def test_a_package_is_asked_of_apt_get_once(cache, monkeypatch):
    asked = apt(monkeypatch, CONTENT)
    for _ in range(2):
        assert debian.files(PACKAGE, ["usr/share/a.txt"]) == {"usr/share/a.txt": b"one"}
    assert asked == [["apt-get", "download", "-q", "some-sounds=1:2.0-3"]]
    assert [path.name for path in cache.iterdir()] == [PACKAGE.file]


def test_a_damaged_file_in_the_cache_is_fetched_again(cache, monkeypatch):
    (cache / PACKAGE.file).write_bytes(CONTENT[:-1])
    asked = apt(monkeypatch, CONTENT)
    assert debian.files(PACKAGE, ["usr/share/a.txt"])
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"another", "gave a file that has not SHA-256"),
        (None, r"failed \(E: Version '2.0' for 'some-sounds' was not found\)"),
    ],
)
def test_what_cannot_be_had_says_what_to_do(cache, monkeypatch, content, message):
    apt(monkeypatch, content)
    with pytest.raises(DataError, match=rf"{message}.*apt-get download some-sounds=1:2.0-3"):
        debian.files(PACKAGE, ["usr/share/a.txt"])
    assert not list(cache.iterdir())


def test_without_apt_get_it_says_what_to_do(monkeypatch):
    monkeypatch.setattr(debian.shutil, "which", lambda _: None)
    with pytest.raises(DataError, match=r"there is no apt-get here.*put the file into"):
        debian.files(PACKAGE, ["usr/share/a.txt"])
