"""Penn Treebank in each layout in which users have it."""

from __future__ import annotations

import tarfile
import zlib
from pathlib import Path, PurePosixPath

import numpy as np

from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text.corpus import EOS, Corpus

ARCHIVE, ARCHIVE_MD5 = "simple-examples.tgz", "30177ea32e27c525793142b6bf2c8e2d"


SPLITS = ("train", "valid", "test")
NAME = "ptb"
LAYOUTS = ("simple-examples/data/ptb.{}.txt", "ptb.{}.txt", "penn/{}.txt")
LARGEST_MEMBER = 64 << 20
HUB_COLUMN = "sentence"
WHERE_TO_GET = (
    f"{ARCHIVE} (MD5 {ARCHIVE_MD5}), or its ptb.train.txt, ptb.valid.txt and ptb.test.txt, "
    "or awd-lstm-lm's penn/ with train.txt, valid.txt and test.txt; or the hub's ptb-text-only/ptb_text_only as "
    "parquet files, or as `datasets` saves it by save_to_disk; directly in the folder"
)


def locate(folder: Path) -> list[Path]:
    """The train, valid and test files below `folder`; DataError if they are incomplete, or there in two layouts."""
    begun = [layout for layout in LAYOUTS if any(path.exists() for path in _at(folder, layout))]
    if not begun:
        raise DataError(f"ptb: {folder} holds none of the files; expected {WHERE_TO_GET}")
    if len(begun) > 1:
        copies = " and ".join(str(folder / layout.format("*")) for layout in begun)
        raise DataError(f"ptb: two copies of the data, {copies}; keep one of them")
    paths = _at(folder, begun[0])
    for path in paths:
        if not path.is_file():
            raise DataError(f"ptb: {path} is missing; expected {', '.join(p.name for p in paths)} side by side")
    return paths


def is_there(folder: Path) -> bool:
    """Whether `folder` holds a copy in any layout, or the beginning of one that is not the archive's."""
    from optathlon.tasks.language.text import hub

    others = (path for layout in LAYOUTS[1:] for path in _at(folder, layout))
    whole = all(path.is_file() for path in _at(folder, LAYOUTS[0]))
    return whole or any(path.exists() for path in others) or hub.is_copy(folder)


def _at(folder: Path, layout: str) -> list[Path]:
    return [folder / layout.format(split) for split in SPLITS]


def read(folder: Path) -> Corpus:
    """The corpus below `folder`. Ids are by first appearance over train, then valid, then test (awd-lstm-lm `data.py`).

    Raises DataError if a text is missing, empty or not UTF-8.
    """
    ids: dict[str, int] = {}
    train, validation, test = (
        np.array([ids.setdefault(word, len(ids)) for word in _words(text)], dtype=np.int64)
        for text in texts_of(folder).values()
    )
    return Corpus(tuple(ids), train, validation, test)


def texts_of(folder: Path) -> dict[str, str]:
    """The text of each split as simple-examples has it, from the files or from the hub's copy."""
    from optathlon.tasks.language.text import hub

    if not hub.is_copy(folder):
        return {split: _content_of(path) for split, path in zip(SPLITS, locate(folder), strict=True)}
    if any(path.exists() for layout in LAYOUTS for path in _at(folder, layout)):
        raise DataError(f"ptb: {folder} holds the text twice, as text and as a copy of the hub's; keep one of them")
    return {split: "".join(map(_line, hub.lines(folder, split, HUB_COLUMN))) for split in SPLITS}


def _line(sentence: str) -> str:
    return f" {' '.join(sentence.split())} \n"


def _content_of(path: Path) -> str:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"ptb: {path} is not UTF-8 ({error.reason} at byte {error.start}); fetch it again") from None
    except OSError as error:
        raise DataError(f"ptb: {path} cannot be read ({error.strerror})") from None
    if not text.strip():
        raise DataError(f"ptb: {path} is empty; expected one sentence a line, words separated by spaces")
    return text


def _words(text: str) -> list[str]:
    return (text if text.endswith("\n") else text + "\n").replace("\n", f" {EOS} ").split()


def write(folder: Path, lines: dict[str, list[list[str]]]) -> None:
    """Write sentences by split as simple-examples has them: a line a sentence, a space at its start and end."""
    for split, path in zip(SPLITS, _at(folder, LAYOUTS[0]), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f" {' '.join(words)} \n" for words in lines[split]), encoding="utf-8", newline="\n")


def unpack(archive: Path, folder: Path) -> None:
    """Take the three text files, and nothing else, out of simple-examples.tgz into folder/simple-examples/data.

    Names inside the archive choose nothing but which of the three a member is. None of the three is ever there in part.
    Raises DataError if the archive is damaged, or one of the three is missing, not a plain file, or too large.
    """
    wanted = {
        PurePosixPath(LAYOUTS[0].format(split)): path
        for split, path in zip(SPLITS, _at(folder, LAYOUTS[0]), strict=True)
    }
    found: dict[Path, bytes] = {}
    try:
        with tarfile.open(archive, "r:gz") as tar:
            for member in tar:
                if path := wanted.get(PurePosixPath(member.name)):
                    found[path] = _content(archive, tar, member)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise DataError(f"ptb: {archive} is damaged ({error}); expected MD5 {ARCHIVE_MD5}; fetch it again") from None
    for name, path in wanted.items():
        if path not in found:
            raise DataError(f"ptb: {archive} holds no {name}; expected {ARCHIVE} with MD5 {ARCHIVE_MD5}")
    with workspace(folder, ".unpacking-") as work:
        for path, content in found.items():
            (work / path.name).write_bytes(content)
        for path in found:
            path.parent.mkdir(parents=True, exist_ok=True)
            (work / path.name).replace(path)


def _content(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() else None
    if file is None:
        raise DataError(f"ptb: {archive}: {member.name} is not a plain file; expected MD5 {ARCHIVE_MD5}")
    if member.size > LARGEST_MEMBER:
        raise DataError(f"ptb: {archive}: {member.name} has {member.size} bytes, more than {LARGEST_MEMBER}")
    return file.read()
