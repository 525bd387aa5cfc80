"""Penn Treebank in each layout in which users have it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np

from optathlon.tasks.data import archives
from optathlon.tasks.data.layouts import find_parts, paths_in
from optathlon.tasks.data.text import checked, read_text, say
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text.corpus import EOS, UNK, Corpus

ARCHIVE, ARCHIVE_MD5 = "simple-examples.tgz", "30177ea32e27c525793142b6bf2c8e2d"


SPLITS = ("train", "valid", "test")
NAME = "ptb"
LAYOUTS = ("simple-examples/data/ptb.{}.txt", "ptb.{}.txt", "penn/{}.txt")
LARGEST = 64 << 20
"""Bytes of the three texts; the official ones have 6 million."""
HUB_COLUMN, CONFIGURATION = "sentence", "penn_treebank"
"""Of the hub's copy, which may lie in a folder of its configuration."""
WHERE_TO_GET = (
    f"{ARCHIVE} (MD5 {ARCHIVE_MD5}), or its ptb.train.txt, ptb.valid.txt and ptb.test.txt, "
    "or awd-lstm-lm's penn/ with train.txt, valid.txt and test.txt; or the hub's ptb-text-only/ptb_text_only as "
    "parquet files, or as `datasets` saves it by save_to_disk; directly in the folder"
)


def locate(folder: Path) -> list[Path]:
    """The train, valid and test files below `folder`; DataError if they are incomplete, or there in two layouts."""
    paths = find_parts(NAME, folder, LAYOUTS, SPLITS)
    if paths is None:
        raise DataError(f"ptb: {folder} holds none of the files; expected {WHERE_TO_GET}")
    return paths


def is_there(folder: Path) -> bool:
    """Whether `folder` holds a copy in any layout, or the beginning of one that is not the archive's."""
    from optathlon.tasks.language.text import hub

    others = (path for layout in LAYOUTS[1:] for path in paths_in(folder, layout, SPLITS))
    whole = all(path.is_file() for path in paths_in(folder, LAYOUTS[0], SPLITS))
    return whole or any(path.exists() for path in others) or hub.find(folder, [CONFIGURATION]) is not None


def read(folder: Path) -> Corpus:
    """The corpus below `folder`. Ids are by first appearance over train, then valid, then test (awd-lstm-lm `data.py`).

    Raises DataError if a text is missing, empty, not UTF-8, or has <eos> at the ends of its lines already. Says how
    many words are only in valid and test.
    """
    ids: dict[str, int] = {}
    known, splits = 0, []
    for split, text in texts_of(folder).items():
        words = _words(folder, split, text)
        splits.append(np.array([ids.setdefault(word, len(ids)) for word in words], dtype=np.int64))
        known = known or len(ids)
    if len(ids) > known:
        say(f"ptb: {folder}: {len(ids) - known:,} words of valid and test are not in train; expected them as {UNK}")
    return Corpus(tuple(ids), *splits)


def texts_of(folder: Path) -> dict[str, str]:
    """The text of each split as simple-examples has it, from the files or from the hub's copy."""
    from optathlon.tasks.language.text import hub

    copy = hub.find(folder, [CONFIGURATION])
    if copy is None:
        return {split: _content_of(path) for split, path in zip(SPLITS, locate(folder), strict=True)}
    if any(path.exists() for layout in LAYOUTS for path in paths_in(folder, layout, SPLITS)):
        raise DataError(f"ptb: {folder} holds the text twice, as text and as a copy of the hub's; keep one of them")
    return {split: "".join(map(_line, hub.lines(copy, split, HUB_COLUMN))) for split in SPLITS}


def _line(sentence: str) -> str:
    return f" {' '.join(sentence.split())} \n"


def _content_of(path: Path) -> str:
    expected = "one sentence a line, words separated by spaces"
    try:
        text = read_text(path, expected)
    except DataError as error:
        raise DataError(f"ptb: {error}") from None
    if not text.strip():
        raise DataError(f"ptb: {path} is empty; expected {expected}")
    return text


def _words(folder: Path, split: str, text: str) -> Iterator[str]:
    for line in checked(text.removesuffix("\n").split("\n"), f"ptb: {folder}: {split}", EOS):
        yield from line.split()
        yield EOS


def write(folder: Path, lines: dict[str, list[list[str]]]) -> None:
    """Write sentences by split as simple-examples has them: a line a sentence, a space at its start and end."""
    for split, path in zip(SPLITS, paths_in(folder, LAYOUTS[0], SPLITS), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f" {' '.join(words)} \n" for words in lines[split]), encoding="utf-8", newline="\n")


def unpack(archive: Path, folder: Path) -> None:
    """Take the three text files, and nothing else, out of simple-examples.tgz into folder/simple-examples/data.

    Raises DataError if the archive is damaged, or one of the three is missing, not a plain file, or too large.
    """
    inside = PurePosixPath(LAYOUTS[0]).parent
    archives.unpack(
        archive,
        folder / inside,
        md5=None,
        inside=str(inside),
        only=[path.name for path in paths_in(folder, LAYOUTS[0], SPLITS)],
        largest=LARGEST,
        remedy=f"expected MD5 {ARCHIVE_MD5}; fetch it again",
    )
