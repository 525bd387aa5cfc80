"""Values on the command line are TOML's; numbers also as Python writes them; what is neither is text."""

from __future__ import annotations

import pytest

from optathlon.suite.planning.toml_value import toml_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (".001", 0.001), ("1.", 1.0), ("-.5", -0.5), ("+.5", 0.5), ("1.e-3", 1e-3), (".5e-3", 5e-4), ("0.1", 0.1),
        ("[.9, .999]", [0.9, 0.999]), ("[.9,.999]", [0.9, 0.999]), ("[1.,2.]", [1.0, 2.0]), ("[[.1]]", [[0.1]]),
        ("1e-3", 1e-3), ("3", 3), ("true", True), ("off", "off"), ("'.5'", ".5"), ('".5"', ".5"),
        ("a.5", "a.5"), ("1..2", "1..2"), (".", "."), ("1.2.3", "1.2.3"), ("path/.5", "path/.5"), ("", ""),
        ("1\nx = 2", "1\nx = 2"), ("(0.9, 0.999)", [0.9, 0.999]), ("(.9, 1.)", [0.9, 1.0]), ("(1,)", [1]), ("()", []),
        ("True", True), ("False", False), ("none", "none"), ("(a)", "(a)"), ("(1", "(1"), ("1_000", 1000),
        ("9" * 5000, "9" * 5000), ("[" * 5000, "[" * 5000), ("[" * 5000 + "]" * 5000, "[" * 5000 + "]" * 5000),
    ],
)  # fmt: skip
def test_a_value(text, value):
    found = toml_value(text)
    assert (found, type(found)) == (value, type(value))
