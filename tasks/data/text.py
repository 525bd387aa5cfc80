"""Text files as users have them: byte order marks and line ends of Windows are no words; what is no such text is named.

One rule for every reader: UTF-8, with or without a mark; LF or CRLF; a last line with or without its end.
"""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NoReturn

from optathlon.tasks.data.files import text_of
from optathlon.tasks.errors import DataError

HEAD = 1 << 16
UTF16 = (b"\xff\xfe", b"\xfe\xff")
LONGEST = 10_000
"""Words in a line; of prose, where a line is a sentence or a paragraph, none has nearly as many."""
POINTER = b"version https://git-lfs.github.com/spec/"
"""What a file of Git LFS begins with that was cloned without its content."""
WEB_PAGES = (b"<!doctype html", b"<html")
"""What a file begins with that a server sent in place of another: a login, an error."""
LINE_MARK = re.compile(r"<(?!unk>)[^<>\s]+>")
"""A word such as <eos>, </s> or <s>, which no text has by itself."""


def read_text(path: Path, expected: str) -> str:
    """The text in a file, its lines ended by LF; DataError says what was `expected` if it is no text."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected {expected}") from None
    refuse_no_text(path, content, expected)
    try:
        text = text_of(content).decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path} is not UTF-8 ({error.reason} at byte {error.start}); expected {expected}; fetch it again"
        ) from None
    _judge_inside(path, Counter(returns=text.count("\r"), marks=text.count("\ufeff"), lines=text.count("\n")))
    return text


def read_lines(path: Path, expected: str) -> Iterator[str]:
    """The lines of a text that is too large for memory, without line ends, as `read_text` has them; blank ones too."""
    inside: Counter[str] = Counter()
    try:
        with path.open("rb") as file:
            refuse_no_text(path, file.read(HEAD), expected)
        with path.open(encoding="utf-8-sig", newline="\n") as lines:
            for line in lines:
                line = line.removesuffix("\n").rstrip("\r")
                if "\0" in line:
                    refuse_no_text(path, b"\0", expected)
                inside.update(lines=1, returns=line.count("\r"), marks=line.count("\ufeff"))
                yield line
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 ({error.reason}); expected {expected}; fetch it again") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror}); expected {expected}") from None
    _judge_inside(path, inside)


def refuse_no_text(path: Path, content: bytes, expected: str) -> None:
    """DataError if `content`, or its beginning, is UTF-16 or 32, with a mark or without, ends its lines by CR, or is
    what was sent in place of the text that was `expected`."""
    if content.startswith(UTF16) or b"\0" in content:
        raise DataError(
            f"{path} is not UTF-8 but UTF-16, UTF-32 or no text (it has zero bytes or their mark); convert it:"
            " `iconv -f UTF-16 -t UTF-8`"
        )
    if b"\r" in content and b"\n" not in content:
        _refuse_returns(path)
    if content.startswith(POINTER):
        raise DataError(f"{path} is a pointer of Git LFS, not the file itself; `git lfs pull`; expected {expected}")
    if content.lstrip()[: len(WEB_PAGES[0])].lower().startswith(WEB_PAGES):
        raise DataError(f"{path} is a web page, which its server sent for it; expected {expected}; fetch it again")


def _refuse_returns(path: Path) -> NoReturn:
    raise DataError(
        f"{path} ends its lines by CR alone, so that all of it would be one line; convert it: `tr '\\r' '\\n'`"
    )


def _judge_inside(path: Path, inside: Counter[str]) -> None:
    """DataError if at least as many lines end by CR alone as otherwise; a few, or byte order marks, are said."""
    if inside["returns"] >= max(inside["lines"], 1):
        _refuse_returns(path)
    for name, count in (("carriage returns", inside["returns"]), ("byte order marks", inside["marks"])):
        if count:
            say(f"{path}: {count:,} {name} inside of lines")


def checked(lines: Iterable[str], place: str, eos: str, *, blank_lines: bool = False) -> Iterator[str]:
    """The `lines`, to each of which an `eos` will be added; `place` they are from is for messages.

    At their end DataError if half of them, blank ones aside, begin or end in one mark already, whatever it is called,
    or if half are blank. Says so if a few have `eos` or, unless `blank_lines` are part of the format, are blank; or if
    a line is as long as a text, or is all of it.
    """
    count = blank = marked = longest = 0
    outer: Counter[str] = Counter()
    for line in lines:
        yield line
        count += 1
        longest = max(longest, line.count(" "))
        blank += not line or line.isspace()
        marked += eos in line and eos in line.split()
        if "<" in line:
            outer.update({*line.split(None, 1)[:1], *line.rsplit(None, 1)[-1:]})
    marks = {word: lines for word, lines in outer.items() if LINE_MARK.fullmatch(word)}
    for mark, number in marks.items():
        if number * 2 >= count - blank:
            raise DataError(
                f"{place}: {number:,} of {count - blank:,} lines begin or end in {mark} already, and {eos} is added to"
                f" each: perplexities would be far too low; remove it: `sed 's|^ *{mark} *||; s| *{mark} *$||'`"
            )
    if blank and not blank_lines:
        told = f"{place}: {blank:,} of {count:,} lines are blank, and {eos} is added to each"
        if blank * 2 >= count - 1:
            raise DataError(f"{told}: perplexities would be far too low; remove them: `sed '/^ *$/d'`")
        say(told)
    if marked:
        say(f"{place}: {marked:,} of {count:,} lines have the word {eos}, which marks the ends of lines")
    if longest > LONGEST or (count == 1 and longest):
        say(f"{place}: a line has {longest:,} words; expected one sentence or paragraph a line")


@functools.cache
def say(line: str) -> None:
    """A line on the standard error stream, each once per process."""
    print(line, file=sys.stderr, flush=True)
