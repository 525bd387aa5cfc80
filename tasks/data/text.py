"""Text files as users have them: byte order marks and line ends of Windows are no words; what is no such text is named.

One rule for every reader: UTF-8, with or without a mark; LF or CRLF; a last line with or without its end.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from optathlon.tasks.data.files import text_of
from optathlon.tasks.errors import DataError

HEAD = 1 << 16
UTF16 = (b"\xff\xfe", b"\xfe\xff")
LONGEST = 10_000
"""Words in a line; of prose, where a line is a sentence or a paragraph, none has nearly as many."""


def read_text(path: Path, expected: str) -> str:
    """The text in a file, its lines ended by LF; DataError says what was `expected` if it is no text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected {expected}") from None
    refuse_other_encodings(path, content)
    try:
        return text_of(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}); expected {expected}; fetch it again"
        ) from None


def read_lines(path: Path, expected: str) -> Iterator[str]:
    """The lines of a text that is too large for memory, without line ends, as `read_text` has them; blank ones too."""
    try:
        with path.open("rb") as file:
            refuse_other_encodings(path, file.read(HEAD))
        with path.open(encoding="utf-8-sig") as lines:
            for line in lines:
                yield line.removesuffix("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}); expected {expected}; fetch it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected {expected}") from None


def refuse_other_encodings(path: Path, content: bytes) -> None:
    """DataError if `content`, or its beginning, is UTF-16 or 32, with a mark or without, or ends its lines by CR."""
    if content.startswith(UTF16) or b"\0" in content:
        raise DataError(
            f"{path} is not UTF-8 but UTF-16, UTF-32 or no text (it has zero bytes or their mark); convert it:"
            " `iconv -f UTF-16 -t UTF-8`"
        )
    if b"\r" in content and b"\n" not in content:
        raise DataError(
            f"{path} ends its lines by CR alone, so that all of it would be one line; convert it: `tr '\\r' '\\n'`"
        )


def checked(lines: Iterable[str], place: str, eos: str) -> Iterator[str]:
    """The `lines`, to each of which an `eos` will be added; `place` they are from is for messages.

    At their end DataError if most end in `eos` already. Says so if a few have it, or if a line is as long as a text.
    """
    count = ended = marked = longest = 0
    for line in lines:
        yield line
        count += 1
        longest = max(longest, line.count(" "))
        if eos in line:
            words = line.split()
            ended += words[-1:] == [eos]
            marked += eos in words
    if ended * 2 > count:
        raise DataError(
            f"{place}: {ended:,} of {count:,} lines end in {eos} already, and it is added to each: perplexities would"
            f" be far too low; remove it: `sed 's/ *{eos} *$//'`"
        )
    if marked:
        say(f"{place}: {marked:,} of {count:,} lines have the word {eos}, which marks the ends of lines")
    if longest > LONGEST:
        say(f"{place}: a line has {longest:,} words; expected one sentence or paragraph a line")


@functools.cache
def say(line: str) -> None:
    """A line on the standard error stream, each once per process."""
    print(line, file=sys.stderr, flush=True)
