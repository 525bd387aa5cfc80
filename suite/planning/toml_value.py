"""A value on the command line: what stands behind KEY=."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_NUMBERS = re.compile(r"[\s\[\](),0-9eE.+_-]+")
_BRACKETS = str.maketrans("()", "[]")
_TRUTHS = {"True": "true", "False": "false"}
_BARE_POINT = re.compile(r"(?<![\w.])\.(?=\d)")
_LAST_POINT = re.compile(r"(?<=\d)\.(?![\d.])")


def toml_value(text: str) -> Any:
    """`text` as TOML reads it, or as Python writes numbers and truths (.9, 1., (0.9, 0.999), True); else it is text."""
    completed = _TRUTHS.get(text, text)
    if _NUMBERS.fullmatch(text):
        completed = _LAST_POINT.sub(".0", _BARE_POINT.sub("0.", text.translate(_BRACKETS)))
    for candidate in dict.fromkeys((text, completed)):
        try:
            read = tomllib.loads(f"value = {candidate}")
        except (ValueError, RecursionError):  # also for numbers of thousands of digits, and brackets as deep
            continue
        if len(read) == 1:  # text of several lines may be more than a value
            return read["value"]
    return text
