"""Reads a page as a browser does, to look for what is there and for what must not be."""

from __future__ import annotations

from html.parser import HTMLParser

VOID = {"br", "input", "meta", "wbr"}


class Page(HTMLParser):
    """Elements as (tag, attributes), their text, and what was left open or closed twice."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.code: list[str] = []
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_data(self, data):
        (self.code if self.open and self.open[-1] in ("script", "style") else self.words).append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def values(self, name: str) -> list[str]:
        """Every value of the attribute `name`."""
        return [value for _, attributes in self.elements for key, value in attributes.items() if key == name and value]

    def count(self, tag: str, **wanted: str) -> int:
        return sum(t == tag and all(a.get(k.rstrip("_")) == v for k, v in wanted.items()) for t, a in self.elements)
