"""Articles of the English Wikipedia of 2016 in WikiText's form, from a test file of the package `gensim`."""

from __future__ import annotations

import bz2
import hashlib
import html
import importlib.metadata
import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.errors import DataError
from optathlon.tasks.randomness import derive

DUMP = "test/test_data/enwiki-latest-pages-articles1.xml-p000000010p000030302-shortened.bz2"
HELD = 20  # one article in so many is for validation, and one for test

_DROPPED = re.compile(
    r"<!--.*?-->|<ref[^>/]*/>|<(ref|math|gallery|timeline|table|div|imagemap|source|pre|sub|sup)\b.*?</\1\s*>|__[A-Z]+__",
    re.DOTALL | re.IGNORECASE,
)
_TEMPLATE = re.compile(r"\{\{[^{}]*\}\}|\{\|(?:(?!\{\||\|\}).)*\|\}", re.DOTALL)
_LINK = re.compile(r"\[\[([^\[\]]*)\]\]")
_NO_TEXT = re.compile(r"\s*:?(?:file|image|category|[a-z]{2,3}(?:-[a-z]+)*)\s*:", re.IGNORECASE)
_OUTSIDE = re.compile(r"\[(?:https?:|//)\S*\s*([^\]]*)\]")
_TAG, _QUOTES = re.compile(r"<[^<>]*>"), re.compile(r"'{2,}")
_HEADING = re.compile(r"(={2,6})\s*(.*?)\s*\1")
_APPENDICES = {"references", "see also", "external links", "further reading", "notes", "bibliography", "sources"}
_TOKEN = re.compile(r"\d+|[^\W\d_]+(?:\.[^\W\d_]\.)*|[^\w\s]|_")
_EMPTY = re.compile(r"\((?:\s*[;,])+\s*")  # left of a pronunciation
_SPACED = re.compile(r"(?<=\d)([.,])(?=\d)|(?<=\w)(-)(?=\w)")


def source() -> Source:
    """What the stand-in is made from."""
    return Source(
        package="gensim",
        version=importlib.metadata.version("gensim"),
        digest=hashlib.sha256(_dump().read_bytes()).hexdigest(),
        licence="LGPL-2.1; the articles CC BY-SA 3.0 (Wikipedia contributors)",
    )


def splits() -> dict[str, list[list[str]]]:
    """Lines of words by split, 90/5/5 by article, in an order that never changes.

    Raises DataError if the package `gensim` is not installed.
    """
    articles = sorted(_articles(), key=lambda article: derive("wikipedia", article[0]))
    held = max(1, len(articles) // HELD)
    parts = {"valid": articles[:held], "test": articles[held : 2 * held], "train": articles[2 * held :]}
    return {split: [line for title, text in part for line in article(title, text)] for split, part in parts.items()}


def article(title: str, text: str) -> list[list[str]]:
    """WikiText's lines of an article in Wikipedia's markup: headings and paragraphs with blank lines between.

    Lists, tables, templates, references and pictures are left out, and headings below which nothing is left.
    """
    lines, waiting = [[]], [["=", *tokens(title), "="]]
    for line in plain(text).split("\n"):
        line = line.strip()
        if heading := _HEADING.fullmatch(line):
            if heading[2].lower() in _APPENDICES:
                break
            rank = ["="] * len(heading[1])
            waiting = [w for w in waiting if w[: len(rank)] != rank]  # nothing came below those of the same rank
            waiting.append([*rank, *tokens(heading[2]), *rank])
        elif line and line[0] not in "*#:;|!{}" and (words := tokens(line)):
            for heading_line in waiting:
                lines += [heading_line, []] if lines[-1] == [] else [[], heading_line, []]
            lines.append(words)
            waiting = []
    return lines


def plain(text: str) -> str:
    """Wikipedia's markup without templates, tables, references and pictures; links as their text."""
    text = _DROPPED.sub(" ", text)
    while (shorter := _TEMPLATE.sub("", text)) != text:
        text = shorter
    while (shorter := _LINK.sub(lambda m: "" if _NO_TEXT.match(m[1]) else m[1].rpartition("|")[2], text)) != text:
        text = shorter
    return _EMPTY.sub("(", html.unescape(_QUOTES.sub("", _TAG.sub("", _OUTSIDE.sub(r"\1", text)))))


def tokens(line: str) -> list[str]:
    """Words, numbers and marks apart, as WikiText has them: "10,000 well-known" is 10 @,@ 000 well @-@ known."""
    line = _SPACED.sub(lambda m: f" @{m[1] or m[2]}@ ", line.replace("’", "'").replace("‘", "'"))
    return [token for word in line.split() for token in ([word] if re.fullmatch("@.@", word) else _split(word))]


def _split(word: str) -> Iterator[str]:
    for part in re.split(r"(?<=\w)('(?:s|t|re|ve|ll|d|m))\b", word):
        yield from [part] if re.fullmatch(r"'[a-z]+", part) else _TOKEN.findall(part)


def _articles() -> Iterator[tuple[str, str]]:
    with bz2.open(_dump()) as dump:
        for _, page in ElementTree.iterparse(dump):
            if page.tag.rpartition("}")[2] != "page":
                continue
            title, text = (page.findtext(f".//{{*}}{name}") or "" for name in ("title", "text"))
            if not text.lstrip().upper().startswith("#REDIRECT") and "(disambiguation)" not in title:
                yield title, text


def _dump() -> Path:
    spec = importlib.util.find_spec("gensim")  # not imported: its compiled parts are not needed
    path = Path(spec.origin).parent / DUMP if spec and spec.origin else None
    if path is None or not path.is_file():
        raise DataError(
            "wikitext-103: the stand-in is made from a file of the package gensim, which is not installed; expected"
            " gensim 4.4.0: `pip install 'optathlon[standins]'`"
        )
    return path
