"""What this room raises when a user's input is wrong."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable
from pathlib import Path
from typing import Any

LONGEST = 400
"""Characters of somebody else's message that are passed on; some libraries' go on for pages."""


class TaskError(ValueError):
    """A task, a protocol or a setting of one is not what it must be; the message names field, value and remedy."""


class DataError(TaskError):
    """Data is missing, corrupt or of another edition; the message names data set, file, expectation and command."""


MOST_NAMED = 40
"""More names than these are no help in one line."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """' (did you mean X?)' for the nearest known word, or for those that have it in them; else what is known."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5) or [name for name in known if word and word in name]
    if near:
        return f" (did you mean {' or '.join(near[:3])}?)"
    return f" (known: {', '.join(known)})" if len(known) <= MOST_NAMED else " (see `optathlon list`)"


def one_line(error: BaseException) -> str:
    """The message of `error` without its line breaks."""
    return " ".join(str(error).split())


def kind(value: Any) -> str:
    """What `value` is, with its article: "an int", "the class Net", "None"."""
    if value is None or (isinstance(value, tuple) and not value):
        return repr(value)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def raised(error: BaseException, file: str | None = None) -> str:
    """'KeyError: 'test' (mine.py, line 40)': the type, the words and the innermost place of `error`, in `file` if it
    came through there."""
    words = one_line(error)
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}…"
    message = f"{type(error).__name__}: {words}" if words else type(error).__name__
    if isinstance(error, SyntaxError):
        return message  # which names its place itself
    frames = traceback.extract_tb(error.__traceback__)
    places = [f for f in frames if f.filename == file] or frames
    return f"{message} ({Path(places[-1].filename).name}, line {places[-1].lineno})" if places else message
