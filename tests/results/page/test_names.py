"""Names break between their words alone, and what is too long keeps both ends."""

from __future__ import annotations

import pytest

from optathlon.results.page.names import breakable, shortened, text_width

FULL_LINE = 1000.0


@pytest.mark.parametrize(
    ("name", "pieces"),
    [
        ("adamw", ["adamw"]),
        ("biased-mnist-0.990", ["biased-", "mnist-", "0.990"]),
        ("speech-commands", ["speech-", "commands"]),
        ("wikitext103-llama", ["wikitext103-", "llama"]),
        ("my_module:MyFancyOptimizer", ["my_", "module:", "My", "Fancy", "Optimizer"]),
        ("sgd lr=0.1 weight_decay=0.0001", ["sgd lr=", "0.1 weight_decay=", "0.0001"]),
        ("test/accuracy (%)", ["test/", "accuracy (%)"]),
        ("lr=-0.5 eps=1e-08", ["lr=", "-0.5 eps=", "1e-08"]),
    ],
)
def test_a_name_breaks_between_its_words(name, pieces):
    assert breakable(name).split("<wbr>") == pieces


def test_only_what_no_column_could_hold_breaks_anywhere():
    assert 'class="endless"' in breakable("x" * 25)
    assert "endless" not in breakable("x" * 24 + " " + "y" * 24)


def test_a_name_stays_text():
    assert breakable("<b>&") == "&lt;b&gt;&amp;"


def test_long_names_keep_both_ends():
    name = "adamw lr=0.001 weight_decay=0.01"
    short = shortened(name, 90, 11)
    assert short.startswith("adamw")
    assert short.endswith("=0.01")
    assert text_width(short, 11) <= 90
    assert shortened(name, FULL_LINE, 11) == name


def test_wide_letters_count_for_more():
    assert text_width("m" * 10, 10) > 2 * text_width("i" * 10, 10)
    assert text_width("優" * 10, 10) >= 100
    assert len(shortened("優" * 40, 90, 11)) < 10
