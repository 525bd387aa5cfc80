"""A corpus as memory-mapped token ids beside its text, and the vocabulary that they are ids of; made once."""

from __future__ import annotations

import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import msgspec
import numpy as np

from optathlon.tasks.data.files import NOT_JSON, file_digest, writing
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text.corpus import EOS, Corpus

FOLDER, ABOUT, VOCABULARY = "tokens", "about.json", "vocabulary.txt"
SPLITS = ("train", "valid", "test")
FILES = (VOCABULARY, *(f"{split}.npy" for split in SPLITS))
AT_ONCE, SCHEMA = 1 << 20, 1
Lines = Callable[[str], Iterable[str]]


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What the ids were made from, and how many there are."""

    source: str
    lines: dict[str, int]
    tokens: dict[str, int]
    """By split, counting the <eos> of each line."""
    words: int
    """How many there are, <eos> among them."""
    digests: dict[str, str] = {}
    """The SHA-256 of each of FILES."""
    schema: int = SCHEMA


def ensure(folder: Path, source: str, lines: Lines) -> About:
    """Make folder/tokens from the `lines` of each split, unless it is there, whole, and made from the same `source`.

    It appears whole or not at all, also if several processes make it at once. Raises DataError for a word of valid or
    test that is not in train.
    """
    final = folder / FOLDER
    if (existing := about(folder)) and existing.source == source and _is_whole(folder, existing):
        return existing
    with workspace(folder, f".{FOLDER}-") as work:
        made = _write(work, source, lines)
        if about(folder) != made or not _is_whole(folder, made):
            shutil.rmtree(final, ignore_errors=True)
            if final.is_file():
                final.unlink(missing_ok=True)
            try:
                work.rename(final)
            except OSError:  # another process was faster
                if about(folder) != made:
                    raise
        return made


def _is_whole(folder: Path, made: About) -> bool:
    try:
        read(folder)
        return made.digests == _digests(folder / FOLDER)
    except (DataError, OSError):
        return False


def _digests(folder: Path) -> dict[str, str]:
    return {name: file_digest(folder / name) for name in FILES}


def about(folder: Path) -> About | None:
    """What folder/tokens says of itself; None if it is not there or of another schema."""
    try:
        content = msgspec.json.decode((folder / FOLDER / ABOUT).read_bytes(), type=About)
    except (FileNotFoundError, NotADirectoryError, *NOT_JSON):
        return None
    return content if content.schema == SCHEMA else None


def read(folder: Path) -> Corpus:
    """The corpus in folder/tokens, its ids (uint32) mapped into memory; DataError if it is not there or not whole.

    Only sizes are compared here: digests are for `ensure`, and for the manifest of the data set.
    """
    made = about(folder)
    if made is None:
        raise DataError(f"{folder.name}: {folder / FOLDER} is missing; `optathlon data prepare {folder.name}`")
    try:
        words = tuple((folder / FOLDER / VOCABULARY).read_text(encoding="utf-8").split("\n")[:-1])
        arrays = {split: np.load(folder / FOLDER / f"{split}.npy", mmap_mode="r") for split in SPLITS}
    except (OSError, ValueError, EOFError) as error:
        raise DataError(
            f"{folder.name}: {folder / FOLDER} cannot be read ({error}); remove it, then prepare or build it again"
        ) from None
    if {split: len(ids) for split, ids in arrays.items()} != made.tokens or len(words) != made.words:
        raise DataError(f"{folder.name}: {folder / FOLDER} is not whole; remove it, then prepare or build it again")
    return Corpus(words, arrays["train"], arrays["valid"], arrays["test"])


def vocabulary(lines: Iterable[str]) -> tuple[dict[str, int], int, int]:
    """Ids of the words in `lines`: 0 for <eos>, then by falling count, ties by first appearance (transformer-xl
    `vocabulary.py`). Also the number of lines and of tokens, with an <eos> a line."""
    counts: Counter[str] = Counter()
    number = 0
    for line in lines:
        counts.update(line.split())
        number += 1
    ranked = [EOS, *(word for word, _ in counts.most_common() if word != EOS)]
    return {word: rank for rank, word in enumerate(ranked)}, number, counts.total() + number


def _write(work: Path, source: str, lines: Lines) -> About:
    ids, *train = vocabulary(lines("train"))
    counts = {"train": tuple(train)}
    for split in SPLITS[1:]:
        sizes = [len(line.split()) + 1 for line in lines(split)]
        counts[split] = (len(sizes), sum(sizes))
    for split in SPLITS:
        _encode(work / f"{split}.npy", counts[split][1], _ids(lines(split), ids, f"{work.parent.name}: {split}"))
    with writing(work / VOCABULARY) as out:
        out.writelines(f"{word}\n".encode() for word in ids)
    made = About(
        source=source,
        lines={split: count[0] for split, count in counts.items()},
        tokens={split: count[1] for split, count in counts.items()},
        words=len(ids),
        digests=_digests(work),
    )
    (work / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(made)) + b"\n")
    return made


def _ids(lines: Iterable[str], ids: Mapping[str, int], where: str) -> Iterator[array]:
    """The ids of all lines, in pieces of about AT_ONCE. `where` they are is for the error."""
    piece = array("I")
    for number, line in enumerate(lines, start=1):
        try:
            piece.extend(map(ids.__getitem__, line.split()))
        except KeyError as error:
            raise DataError(
                f"{where}, line {number}: {error.args[0]!r} is not among the {len(ids)} words of train; expected every"
                " rare word as <unk>, as in the wikitext-103-v1 files (the raw ones are another data set)"
            ) from None
        piece.append(ids[EOS])
        if len(piece) >= AT_ONCE:
            yield piece
            piece = array("I")
    yield piece


def _encode(path: Path, count: int, pieces: Iterable[array]) -> None:
    """Write ids as an .npy file; not through a map, as a full disk kills a process that writes to one (SIGBUS)."""
    kind = np.dtype(np.uint32)
    header = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (count,)}
    with writing(path) as out:
        np.lib.format.write_array_header_1_0(out, header)
        for piece in pieces:
            out.write(np.asarray(piece, kind).tobytes())
