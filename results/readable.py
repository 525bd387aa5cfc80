"""Text from outside, fit to be shown: one line, no control characters."""

from __future__ import annotations


def one_line(text: str) -> str:
    """`text` with what is no visible character (line breaks, terminal escapes, changes of direction) replaced."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)
