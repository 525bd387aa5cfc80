"""The text of an error, fit to be recorded and shown."""

from __future__ import annotations

from optathlon.results.readable import spelled_out

REASON, TRACE = 4_000, 60_000
"""How many characters of a message and of a traceback are recorded."""

LINE = 400
"""How many characters of a message are shown where there is room for one line."""

_LEFT_OUT = "\n... the middle of this is left out ...\n"


def message_of(error: BaseException) -> str:
    """Returns the message of `error`, also where its own __str__ raises."""
    try:
        return str(error)
    except Exception as another:
        return f"(its message cannot be read: {type(another).__name__})"


def legible(text: str, limit: int = REASON) -> str:
    """Returns `text` as a record and a terminal can take it: `spelled_out`, and without its middle beyond `limit`
    characters."""
    text = spelled_out(text)
    if len(text) <= limit:
        return text
    end = (limit - len(_LEFT_OUT)) // 2
    return text[:end] + _LEFT_OUT + text[-end:]


def shortened(text: str) -> str:
    """Returns `text` on one line, cut after LINE characters."""
    words = " ".join(text.split())
    return words if len(words) <= LINE else f"{words[:LINE]}…"
