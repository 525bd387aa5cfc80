"""WikiText-103: 28,475 good and featured Wikipedia articles, in the official layouts (Merity et al. 2016)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

from optathlon.tasks.data import archives
from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.data.layouts import find_parts, paths_in
from optathlon.tasks.data.text import checked, read_lines
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text import hub, token_files
from optathlon.tasks.language.text.corpus import EOS, UNK, Corpus
from optathlon.tasks.language.text.token_files import SPLITS

NAME = "wikitext-103"
ARCHIVE, ARCHIVE_MD5 = "wikitext-103-v1.zip", "9ddaacaf6af0710eda8c456decff7832"
LAYOUTS = ("wikitext-103/wiki.{}.tokens", "wiki.{}.tokens", "wikitext-103/{}.txt", "{}.txt")
CONFIGURATION = "wikitext-103-v1"
"""The hub's name for it, and of its folder there."""
LINES = {"train": 1_801_350, "valid": 3_760, "test": 4_358}
TOKENS = {"train": 103_227_021, "valid": 217_646, "test": 245_569}
WORDS = 267_735
LARGEST = 2 << 30
"""Bytes of the three texts; the official ones have 0.5 billion."""
RARE = 3


class WikiText103(Dataset):
    """103,227,021 / 217,646 / 245,569 tokens of 267,735 words, with an <eos> for each line, also for empty ones."""

    name: ClassVar[str] = NAME
    title: ClassVar[str] = "WikiText-103 (word level)"
    licence: ClassVar[str] = "CC BY-SA 3.0 (text of Wikipedia)"
    homepage: ClassVar[str] = "https://huggingface.co/datasets/Salesforce/wikitext"
    get: ClassVar[str] = (
        f"{ARCHIVE} (MD5 {ARCHIVE_MD5}), or its wiki.train.tokens, wiki.valid.tokens and wiki.test.tokens, or the same"
        " as train.txt, valid.txt and test.txt; or the hub's wikitext-103-v1 as parquet files, or saved"
        ' by `datasets.load_dataset("Salesforce/wikitext", "wikitext-103-v1").save_to_disk(FOLDER)`; directly in the'
        " folder"
    )
    standins: ClassVar[dict[str, int]] = {"0128b4b285cacbb9": 1}  # gensim 4.4.0
    entries: ClassVar[tuple[str, ...]] = ("wikitext-103*", "wiki.*.tokens", *(f"{s}.txt" for s in SPLITS), *hub.ENTRIES)
    made: ClassVar[tuple[str, ...]] = (token_files.FOLDER,)
    blank_lines: ClassVar[bool] = True

    def verify(self, folder: Path) -> str | None:
        """Unpack the archive if nothing else is there, count and number the words, and compare the counts."""
        if _text(folder) is None and _copy(folder) is None and (folder / ARCHIVE).is_file():
            unpack(folder / ARCHIVE, folder)
        made = prepare(folder)
        if (made.lines, made.tokens, made.words) != (LINES, TOKENS, WORDS):
            return None
        archive = folder / ARCHIVE
        known = archive.is_file() and file_digest(archive, "md5") == ARCHIVE_MD5
        return f"{f'MD5 of {ARCHIVE}, ' if known else ''}counts of lines, tokens and words"

    def write_miniature(self, folder: Path) -> None:
        """Articles about invented towns, each of which names its town again and again."""
        from optathlon.tasks.language.wikitext103.miniature import articles

        write(folder, articles())

    def write_standin(self, folder: Path) -> list[Source]:
        """106 articles of the English Wikipedia, from a test file of the package `gensim`."""
        from optathlon.tasks.language.wikitext103.standin import source, splits

        write(folder, splits())
        return [source()]


def prepare(folder: Path) -> token_files.About:
    """Make the token files of the text in `folder`, unless they are there; DataError if the text is not whole."""
    text, copy = _text(folder), _copy(folder)
    if text is not None and copy is not None:
        raise DataError(f"{NAME}: {folder} holds the text twice, {text[0].name} and {copy}; keep one of them")
    if text is not None:
        files: dict[str, Path] = dict(zip(SPLITS, text, strict=True))
        digest, lines = _digest(text), lambda split: _lines(files[split])
    elif copy is not None:
        digest, lines = _digest(hub.files(copy)), lambda split: hub.lines(copy, split)
    else:
        raise DataError(f"{NAME}: {folder} holds none of the files; expected {WikiText103.get}")

    def checked_lines(split: str) -> Iterator[str]:
        return checked(lines(split), f"{NAME}: {folder}: {split}", EOS, blank_lines=True)

    return token_files.ensure(folder, digest, checked_lines)


def read(folder: Path) -> Corpus:
    """The prepared corpus; ids are ranks by frequency in training, 0 is <eos>."""
    return token_files.read(folder)


def _text(folder: Path) -> list[Path] | None:
    """The three text files below `folder`; None without any, DataError if some are missing or there are two copies."""
    return find_parts(NAME, folder, LAYOUTS, SPLITS)


def _copy(folder: Path) -> Path | None:
    return hub.find(folder, [CONFIGURATION])


def _digest(paths: list[Path]) -> str:
    return hashlib.sha256("\n".join(map(file_digest, paths)).encode()).hexdigest()


def _lines(path: Path) -> Iterator[str]:
    empty = True
    try:
        for line in read_lines(path, f"the text of {ARCHIVE}"):
            empty = empty and (not line or line.isspace())
            yield line
    except DataError as error:
        raise DataError(f"{NAME}: {error}") from None
    if empty:
        raise DataError(f"{NAME}: {path} is empty; expected lines of words")


def write(folder: Path, lines: dict[str, list[list[str]]]) -> None:
    """Write lines of words by split as the archive has them: a space at the start and end of each line.

    By WikiText's rule a word with fewer than three occurrences in training is <unk>, in every split.
    """
    counts: dict[str, int] = {}
    for word in (word for words in lines["train"] for word in words):
        counts[word] = counts.get(word, 0) + 1
    for split, path in zip(SPLITS, paths_in(folder, LAYOUTS[0], SPLITS), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8", newline="\n") as text:
            for words in lines[split]:
                text.write(f" {' '.join(w if counts.get(w, 0) >= RARE else UNK for w in words)} \n" if words else " \n")


def unpack(archive: Path, folder: Path) -> None:
    """Take the three text files, and nothing else, out of wikitext-103-v1.zip to make folder/wikitext-103, all at once.

    Raises DataError if the archive is damaged, or one of the three is missing or too large.
    """
    archives.unpack(
        archive,
        folder / Path(LAYOUTS[0]).parent,
        md5=None,
        only=[path.name for path in paths_in(folder, LAYOUTS[0], SPLITS)],
        largest=LARGEST,
        remedy=f"expected {ARCHIVE} with MD5 {ARCHIVE_MD5}; fetch it again",
    )
