"""HTML from Python: whatever is not markup already is escaped, whoever it came from."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import Any

from optathlon.results.readable import visible

_VOID = frozenset({"br", "input", "meta", "wbr"})
_DRAWN = frozenset({"path", "circle"})


class Html(str):
    """Text that is markup already and is not escaped again."""

    __slots__ = ()


def text(value: Any) -> Html:
    """`value` escaped for content and quoted attributes; control characters, which HTML forbids, marks
    without width, and those that turn the direction of what follows are replaced."""
    if isinstance(value, Html):
        return value
    return Html(html.escape(visible(str(value))))


def join(parts: Iterable[Any], between: str = "") -> Html:
    """`parts`, escaped unless they are markup, with the markup `between`; None is left out."""
    return Html(between.join(text(part) for part in parts if part is not None))


def tag(name: str, *children: Any, **attributes: Any) -> Html:
    """An element. Attributes: `class_` is class, `data_row` data-row; None and False are left out, True is bare."""
    renamed = ((key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    written = "".join(
        f" {k}" if v is True else f' {k}="{text(v)}"' for k, v in renamed if v is not None and v is not False
    )
    if name in _VOID:
        return Html(f"<{name}{written}>")
    if name in _DRAWN and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{join(children)}</{name}>")
