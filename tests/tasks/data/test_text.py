"""Texts that may be another than they are taken for are said in a line; what is certain is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon.tasks.data.text import HEAD, LONGEST, checked, read_lines, read_text, say
from optathlon.tasks.errors import DataError


def test_a_text_as_it_must_be_comes_out_and_nothing_is_said(capsys) -> None:
    assert list(checked(["a b", "", "c <unk>"], "a text", "<eos>", blank_lines=True)) == ["a b", "", "c <unk>"]
    assert capsys.readouterr().err == ""


def test_lines_that_have_the_mark_of_line_ends_are_said_with_their_number(capsys) -> None:
    lines = ["a <eos> b", "c <eos>", "d", "e", "f"]
    assert list(checked(lines, "a text with marks", "<eos>")) == lines
    assert (
        capsys.readouterr().err
        == "a text with marks: 2 of 5 lines have the word <eos>, which marks the ends of lines\n"
    )


def test_a_line_as_long_as_a_text_is_said(capsys) -> None:
    lines = ["a " * (LONGEST + 1), "b"]
    assert list(checked(lines, "a text in a line", "<eos>")) == lines
    assert "a text in a line: a line has 10,001 words; expected one sentence" in capsys.readouterr().err


def test_a_text_in_one_line_is_said_however_short_it_is(capsys) -> None:
    assert list(checked(["a b c"], "a short text in a line", "<eos>")) == ["a b c"]
    assert "a short text in a line: a line has 2 words" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["a <eos>", "b <eos>", "c"], "2 of 3 lines begin or end in <eos> already, .* far too low; remove it: `sed"),
        (["<eos> a", "<eos> b"], "2 of 2 lines begin or end in <eos> already"),
        (["a b", "<eos>", "c d", "<eos>"], "2 of 4 lines begin or end in <eos> already"),
        (["a </s>", "", "b </s>", ""], "2 of 2 lines begin or end in </s> already, and <eos> is added"),
        (["<s> a", "<s> b"], "begin or end in <s> already"),
    ],
)
def test_a_text_whose_lines_are_marked_already_is_refused_whatever_the_mark(lines: list[str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(checked(lines, "a text", "<eos>", blank_lines=True))


def test_rare_words_at_the_ends_of_lines_are_no_marks(capsys) -> None:
    lines = ["<unk> a", "b <unk>", "<unk>"]
    assert list(checked(lines, "a text of rare words", "<eos>")) == lines
    assert capsys.readouterr().err == ""


def test_blank_lines_are_said_and_refused_where_every_other_line_is_one(capsys) -> None:
    assert len(list(checked(["a b", "", "c", "d", "e"], "a gap", "<eos>"))) == 5
    assert capsys.readouterr().err == "a gap: 1 of 5 lines are blank, and <eos> is added to each\n"
    with pytest.raises(DataError, match="2 of 5 lines are blank"):
        list(checked(["a b", " ", "c", "", "e"], "gaps", "<eos>"))


def read_by_lines(path: Path, expected: str) -> str:
    return "".join(f"{line}\n" for line in read_lines(path, expected))


READERS = pytest.mark.parametrize("read", [read_text, read_by_lines])


@READERS
@pytest.mark.parametrize("content", [b"a b\nc\n", b"\xef\xbb\xbfa b\r\nc\r\n", b"a b\r\r\nc", b"a b\nc\r"])
def test_both_readers_see_the_same_lines(tmp_path: Path, capsys, read, content: bytes) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    assert read(tmp_path / "a.txt", "words").rstrip("\r\n") == "a b\nc"
    if not content.endswith(b"\r"):
        assert capsys.readouterr().err == ""


@READERS
@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a\rb\rc\n", r"ends its lines by CR alone.*`tr '\\r' '\\n'`"),
        (b"a\rb\rc\rd\n" + b"e\n", "ends its lines by CR alone"),
        (b"a\n" * HEAD + b"\0b\n", "is not UTF-8 but UTF-16, UTF-32 or no text"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "a pointer of Git LFS.*`git lfs pull`"),
        (b"\n<!DOCTYPE HTML>\n<p>Quota exceeded</p>\n", "is a web page.*expected words"),
        (b"<html><body>Sign in\n", "is a web page"),
    ],
)
def test_what_is_no_text_of_lines_is_refused(tmp_path: Path, read, content: bytes, message: str) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    with pytest.raises(DataError, match=message):
        read(tmp_path / "a.txt", "words")


@READERS
def test_a_few_carriage_returns_and_marks_inside_are_said(tmp_path: Path, capsys, read) -> None:
    say.cache_clear()
    (tmp_path / "a.txt").write_bytes(b"a\rb\nc\nd\xef\xbb\xbf\n")
    assert read(tmp_path / "a.txt", "words") == "a\rb\nc\nd\ufeff\n"
    told = capsys.readouterr().err
    assert "a.txt: 1 carriage returns inside of lines\n" in told
    assert "a.txt: 1 byte order marks inside of lines\n" in told
