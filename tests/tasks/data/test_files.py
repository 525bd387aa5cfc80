"""Data files: what is litter, how an edition is named, and errors of writing that name the file."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from optathlon.tasks.data.files import content_digest, is_litter, text_of, write_whole, writing
from tests import file_deeds


@pytest.mark.parametrize("name", ["._a.jpg", ".DS_Store", ".ipynb_checkpoints", "__MACOSX", "Thumbs.db"])
def test_what_systems_leave_is_litter(name: str) -> None:
    assert is_litter(name)
    assert not is_litter(f"a{name}")


def test_texts_differ_by_words_and_lines_alone() -> None:
    for same in (b"a\nb\n", b"a\nb", b"a\r\nb\r\n", b"\xef\xbb\xbfa\nb\n\n\n"):
        assert text_of(same) == b"a\nb\n"
    assert text_of(b"a\n\n", blank_lines=True) == b"a\n\n"
    assert text_of(b"a\n\nb\n") == b"a\n\nb\n"
    assert text_of(b"\n") == text_of(b"") == b""


def test_the_digest_of_a_clean_text_and_of_other_files_is_that_of_their_bytes(tmp_path: Path) -> None:
    for name, content in (("a.txt", b"a\n"), ("a.bin", b"a\r\n")):
        (tmp_path / name).write_bytes(content)
        assert content_digest(tmp_path / name) == (len(content), hashlib.sha256(content).hexdigest())


def test_bytes_are_on_disk_before_they_have_their_name_and_the_name_before_it_returns(tmp_path, monkeypatch) -> None:
    deeds = file_deeds.noted(monkeypatch)
    write_whole(tmp_path / "a", b"one")
    synced, *named = deeds
    assert synced.startswith("sync .a.")
    assert named == ["rename a", f"sync {tmp_path.name}/"]
    deeds.clear()
    with writing(tmp_path / "b") as file:
        file.write(b"two")
    assert deeds == ["write b", "sync b"]


def test_an_error_of_writing_names_the_file() -> None:
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"), writing(Path("/dev/full")) as file:
        file.write(b"a")
