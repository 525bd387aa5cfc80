"""An error's words, fit to be recorded and shown."""

from __future__ import annotations

import re

REASON, TRACE = 4_000, 60_000  # characters of them that are kept
LINE = 400  # of which so many are said where there is room for one line


_NO_TEXT = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


_LEFT_OUT = "\n... the middle of this is left out ...\n"


def said(error: BaseException) -> str:
    """The message of `error`, also of one that cannot say it."""
    try:
        return str(error)
    except Exception as another:
        return f"(its message cannot be read: {type(another).__name__})"


def legible(text: str, limit: int = REASON) -> str:
    """`text` as it may be written down and shown on a terminal: what is no text but for line ends and tabs is escaped,
    and the middle of what is longer than `limit` characters is left out."""
    text = _NO_TEXT.sub(lambda found: found[0].encode("unicode_escape").decode(), text)
    if len(text) <= limit:
        return text
    kept = (limit - len(_LEFT_OUT)) // 2
    return text[:kept] + _LEFT_OUT + text[-kept:]


def one_line(text: str) -> str:
    """`text` on one line, cut after LINE characters."""
    words = " ".join(text.split())
    return words if len(words) <= LINE else f"{words[:LINE]}…"
