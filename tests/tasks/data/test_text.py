"""Texts that may be another than they are taken for are said in a line; what is certain is refused."""

from __future__ import annotations

import pytest

from optathlon.tasks.data.text import LONGEST, checked
from optathlon.tasks.errors import DataError


def test_a_text_as_it_must_be_comes_out_and_nothing_is_said(capsys) -> None:
    assert list(checked(["a b", "", "c"], "a text", "<eos>")) == ["a b", "", "c"]
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


def test_where_most_lines_end_in_it_the_text_is_refused() -> None:
    with pytest.raises(DataError, match="2 of 3 lines end in <eos> already"):
        list(checked(["a <eos>", "b <eos>", "c"], "a text", "<eos>"))
