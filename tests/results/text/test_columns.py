"""Text in the cells of a terminal: measured, broken where a reader expects it, and fitted into a table."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from optathlon.results.text.columns import cells, cut, fitted, fold, left, line_up, longest_piece, right, wrapped


def test_wide_characters_take_two_cells_and_combining_ones_none():
    assert cells("adamp") == 5
    assert cells("最適化") == 6
    assert cells("e\u0301\u200b") == 1
    assert cells("81.83 ± 1.79 ≈ ¹") == 16
    assert left("最", 4) == "最  "
    assert right("最", 4) == "  最"


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("biased-mnist-0.990 [smoke, standin-1]", 20, ["biased-mnist-0.990", "[smoke, standin-1]"]),
        ("biased-mnist-0.990 [smoke, standin-1]", 12, ["biased-", "mnist-0.990", "[smoke,", "standin-1]"]),
        ("lr=1e-3,weight_decay=-0.05", 14, ["lr=1e-3,", "weight_decay=", "-0.05"]),
        ("data/speech-commands", 10, ["data/", "speech-", "commands"]),
        ("incomprehensibilities", 8, ["incompre", "hensibil", "ities"]),
        ("最適化アルゴリズム", 5, ["最適", "化ア", "ルゴ", "リズ", "ム"]),
        ("", 5, [""]),
    ],
)
def test_text_is_broken_between_words_then_within_names_and_never_within_a_number(text, width, lines):
    assert wrapped(text, width) == lines


# Letters, breaks, digits, and what is two cells wide, or none. All of Unicode would take a second to be listed.
CHARACTERS = "aB-_/.,:·±=()09 \t\n\u00a0\u0301\u200b\u200dé\u4e00最化ア🙂가"


@settings(max_examples=40)
@given(st.lists(st.sampled_from(CHARACTERS), max_size=60), st.integers(2, 30))
def test_no_line_is_wider_than_asked_and_nothing_is_lost(characters, width):
    text = " ".join("".join(characters).split())
    lines = wrapped(text, width)
    assert all(cells(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_what_is_cut_ends_in_an_ellipsis():
    assert cut("17/24 done · 2 running", 10) == "17/24 don…"
    assert cut("17/24 done", 10) == "17/24 done"
    assert cells(cut("最適化アルゴリズム", 8)) <= 8


def test_long_lines_are_folded_with_what_goes_on_indented_below():
    assert fold("a\n  one two three four", 14) == "a\n  one two\n    three four"
    assert fold("one two three four", None) == "one two three four"
    # An indent that leaves no room for words is given up.
    assert fold("            one two three", 14) == "one two three"


def test_the_widest_columns_shrink_and_none_below_its_least():
    assert fitted([10, 40, 5], [10, 8, 5], 60) == [10, 40, 5]
    assert fitted([10, 40, 30], [10, 8, 5], 60) == [10, 23, 23]
    assert fitted([10, 40, 30], [10, 36, 5], 60) == [10, 36, 10]
    assert fitted([10, 40, 30], [10, 36, 20], 60) is None


def test_a_row_is_as_many_lines_as_its_longest_text_needs():
    assert line_up(["adamw", "1.5 ± 0.25"], [5, 6], [False, True], [False, True]) == [
        "adamw  \x1b[1m 1.5 ±\x1b[0m",
        "       \x1b[1m  0.25\x1b[0m",
    ]
    assert longest_piece("biased-mnist-0.990 [smoke]") == len("biased-") == len("[smoke]")
