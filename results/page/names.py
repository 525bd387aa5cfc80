"""Names on the page: where they may be broken, how wide they are, and what is shown of one that is too long."""

from __future__ import annotations

import re

from optathlon.results.page.markup import Html, join, tag
from optathlon.results.readable import visible
from optathlon.results.text.columns import break_pieces

# Longer pieces are broken at the joints of identifiers as well: my_module:|MyFancy|Optimizer.
_LONG = 14
_JOINTS = re.compile(r"(?<=[_:])(?=[^\W_])|(?<=[^\W\d]\.)(?=\w)|(?<=[a-z])(?=[A-Z])")
# What is still longer would make its column wider than a phone, and may be broken anywhere.
_LONGEST = 24
# Widths in hundredths of the font's size, as DejaVu Sans has them, the widest of the common fonts without serifs.
_WIDTHS = {
    letter: width
    for width, letters in (
        (29, "'ijlIJ"), (36, " ,./:;\\|f-"), (40, "()[]t!"), (50, '"*_`r'), (58, "szckFL?"),
        (64, "vxyPTYaoeESbdghnpqu$0123456789{}"), (70, "AVBRXZCK"), (79, "UHNDG&OQ"), (86, "w#+<=>^~M"), (100, "%mW@"),
    )
    for letter in letters
}  # fmt: skip
_WIDEST = 110


def breakable(name: str) -> Html:
    """`name`, to be broken only between its words, with `<wbr>` at each place: after hyphens, slashes, commas, `=`."""
    return join((_word(word) for word in visible(name).split(" ")), " ")


def _word(word: str) -> Html:
    pieces = (
        part for piece in break_pieces(word) for part in (_JOINTS.split(piece) if len(piece) > _LONG else [piece])
    )
    return join((tag("span", part, class_="endless") if len(part) > _LONGEST else part for part in pieces), "<wbr>")


def text_width(text: str, size: float) -> float:
    """How wide `text` is in a font of `size`, at most: no browser is asked, and its font is not known."""
    return sum(_WIDTHS.get(letter, _WIDEST) for letter in text) * size / 100


def shortened(name: str, room: float, size: float) -> str:
    """`name`, without its middle where it is wider than `room`: names of settings begin alike and differ at the end."""
    if text_width(name, size) <= room:
        return name
    kept = len(name) - 1
    while kept > 2 and text_width(_without_middle(name, kept), size) > room:
        kept -= 1
    return _without_middle(name, kept)


def _without_middle(name: str, kept: int) -> str:
    return f"{name[: (kept + 1) // 2]}…{name[len(name) - kept // 2 :]}"
