"""Text from outside, fit to be shown: one line, nothing invisible."""

from __future__ import annotations

import json
import re

# Unicode's Default_Ignorable_Code_Point, of which Python calls some printable: two names that differ in one look alike.
_IGNORABLE = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_CONTROLS = "\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff"
_INVISIBLE = re.compile(f"[{_CONTROLS}{_IGNORABLE}]")
_UNSEEN = re.compile(f"[{_IGNORABLE}]")


def one_line(text: str) -> str:
    """`text` with what is no visible character (line breaks, terminal escapes, changes of direction) replaced."""
    if text.isprintable():
        return text if text.isascii() else _UNSEEN.sub("\ufffd", text)
    return _UNSEEN.sub("\ufffd", "".join(c if c.isprintable() else "\ufffd" for c in text))


def visible(text: str) -> str:
    """`text` as `one_line` makes it, but with its line ends, tabs and spaces of all kinds."""
    return _INVISIBLE.sub("\ufffd", text)


def spelled_out(text: str) -> str:
    """`text` with its line ends and tabs, and all else that a terminal would carry out, or not show, as its escape."""
    return _INVISIBLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def in_json(document: str) -> str:
    """A JSON document in which what `spelled_out` escapes is escaped as JSON has it, so that it says the same."""
    return _INVISIBLE.sub(lambda found: json.dumps(found[0])[1:-1], document)
