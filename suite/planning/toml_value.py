"""A value on the command line: what stands behind KEY=."""

from __future__ import annotations

import re
import tomllib
from typing import Any

_NUMBERS = re.compile(r"[\s\[\],0-9eE.+_-]+")
_BARE_POINT = re.compile(r"(?<![\w.])\.(?=\d)")
_LAST_POINT = re.compile(r"(?<=\d)\.(?![\d.])")


def toml_value(text: str) -> Any:
    """`text` as TOML reads it, numbers also as Python writes them (.9, 1.); what is neither is text."""
    completed = _LAST_POINT.sub(".0", _BARE_POINT.sub("0.", text)) if _NUMBERS.fullmatch(text) else text
    for candidate in dict.fromkeys((text, completed)):
        try:
            read = tomllib.loads(f"value = {candidate}")
        except tomllib.TOMLDecodeError:
            continue
        if len(read) == 1:  # text of several lines may be more than a value
            return read["value"]
    return text
