"""A corpus as subwords: byte-level byte-pair encoding, trained on its own training split; made once, then mapped."""

from __future__ import annotations

import hashlib
import math
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from tokenizers import AddedToken, Tokenizer
from tokenizers import __version__ as tokenizers_version
from tokenizers.decoders import ByteLevel as ByteLevelDecoder
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.trainers import BpeTrainer

from optathlon.tasks.data import places
from optathlon.tasks.data.files import file_digest, writing
from optathlon.tasks.data.workspace import workspace
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text.corpus import EOS, UNK, Corpus
from optathlon.tasks.metrics.language_modeling import perplexity

CACHE, TOKENIZER, ABOUT = ".subwords", "tokenizer.json", "about.json"
SPLITS = ("train", "validation", "test")
LINES_AT_ONCE, WORDS_AT_ONCE, SCHEMA = 1 << 14, 1 << 20, 2


class Size(msgspec.Struct, frozen=True):
    """Of one split: words (an <eos> a line is one), bytes of UTF-8 text, and subwords."""

    words: int
    bytes: int
    subwords: int


class About(msgspec.Struct, frozen=True):
    """What a cache says of itself: sizes by split, and the SHA-256 of its other files by name."""

    sizes: dict[str, Size]
    digests: dict[str, str]


@dataclass(frozen=True)
class Subwords:
    """Ids (uint32, mapped into memory) and sizes of each split, and how many different ids there are."""

    vocabulary: int
    ids: dict[str, np.ndarray]
    sizes: dict[str, Size]


def load_or_train(corpus: Corpus, vocabulary: int, data: Path) -> Subwords:
    """The subwords of `corpus`, from the cache below the data root or, where that cannot be written to, the user's.

    Made first if they are not there, or not as they were made; whole or not at all, also if several processes do at
    once. Raises DataError if the cache cannot be written.
    """
    data, key = Path(data), _key(corpus, vocabulary)
    below_data, below_user = data / CACHE / key, places.cached(data, CACHE) / key
    for folder in (below_data, below_user):
        with suppress(DataError):
            return _read(folder)
    folder = below_data if places.is_writable(data) else below_user
    try:
        _make(corpus, vocabulary, folder)
    except OSError as error:
        raise DataError(
            f"{error.filename or folder}: {error.strerror or error}; subwords are kept in {folder.parent}: expected"
            " a --data folder, or else an $OPTATHLON_CACHE, that can be written to and is not full"
        ) from None
    return _read(folder)


def lines(ids: np.ndarray, words: Sequence[str]) -> Iterator[str]:
    """The text: a space before each word, a line break for each <eos>; without one at the end, none is added."""
    eos = words.index(EOS)
    line: list[str] = []
    for start in range(0, len(ids), WORDS_AT_ONCE):
        for number in ids[start : start + WORDS_AT_ONCE].tolist():
            if number == eos:
                yield "".join(line) + "\n"
                line.clear()
            else:
                line.append(f" {words[number]}")
    if line:
        yield "".join(line)


def train(text: Iterator[str], vocabulary: int) -> Tokenizer:
    """A tokenizer of at most `vocabulary` subwords, <unk> and the 256 bytes among them (Sennrich et al. 2016; Radford
    et al. 2019 for the bytes)."""
    tokenizer = Tokenizer(BPE())
    tokenizer.pre_tokenizer = ByteLevel(add_prefix_space=False)
    tokenizer.decoder = ByteLevelDecoder()
    unknown = AddedToken(UNK, lstrip=True, special=True)
    alphabet = ByteLevel.alphabet()
    trainer = BpeTrainer(
        vocab_size=vocabulary, special_tokens=[unknown], initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(text, trainer)
    return tokenizer


def _key(corpus: Corpus, vocabulary: int) -> str:
    hashed = hashlib.sha256(f"{SCHEMA} {tokenizers_version} {vocabulary}\n".encode())
    for word in corpus.words:
        hashed.update(f"{word}\n".encode())
    for split in SPLITS:
        hashed.update(np.ascontiguousarray(getattr(corpus, split)).data)
    return hashed.hexdigest()[:16]


def _make(corpus: Corpus, vocabulary: int, folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with workspace(folder.parent, f".{folder.name}-") as work:
        tokenizer = train(lines(corpus.train, corpus.words), vocabulary)
        tokenizer.save(str(work / TOKENIZER))
        sizes = {split: _encode(tokenizer, corpus, split, work) for split in SPLITS}
        about = About(sizes, {path.name: file_digest(path) for path in sorted(work.iterdir())})
        (work / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(about)) + b"\n")
        with suppress(DataError):
            _read(folder)
            return  # another process was faster
        shutil.rmtree(folder, ignore_errors=True)  # damaged; who has mapped it keeps it
        try:
            work.rename(folder)
        except OSError:
            if not folder.exists():  # by another process, since the line above
                raise


def _encode(tokenizer: Tokenizer, corpus: Corpus, split: str, work: Path) -> Size:
    ids, text = getattr(corpus, split), lines(getattr(corpus, split), corpus.words)
    subwords = size = 0
    with writing(work / f"{split}.u32") as out:
        while batch := list(islice(text, LINES_AT_ONCE)):
            encoded = np.concatenate([np.asarray(line.ids, dtype=np.uint32) for line in tokenizer.encode_batch(batch)])
            out.write(encoded.tobytes())
            subwords += len(encoded)
            size += sum(len(line.encode()) for line in batch)
    return Size(words=len(ids), bytes=size, subwords=subwords)


def _read(folder: Path) -> Subwords:
    try:
        about = msgspec.json.decode((folder / ABOUT).read_bytes(), type=About)
        changed = [name for name, digest in about.digests.items() if file_digest(folder / name) != digest]
        if changed:
            raise DataError(f"{folder / changed[0]} is not what was written")
        vocabulary = Tokenizer.from_file(str(folder / TOKENIZER)).get_vocab_size()
        ids = {split: np.memmap(folder / f"{split}.u32", dtype=np.uint32, mode="r") for split in SPLITS}
    except DataError:
        raise
    except Exception as error:  # tokenizers raises bare ones
        raise DataError(f"{folder} cannot be read ({error})") from None
    return Subwords(vocabulary, {split: np.asarray(array) for split, array in ids.items()}, about.sizes)


def scores(nats: float, scored: int, size: Size) -> dict[str, float]:
    """What `nats` over `scored` subwords of a split of `size` are for each word and byte: perplexity (a word), loss
    (nats a word) and bits_per_byte, which do not depend on how words are cut.

    Of the words and bytes the share that was scored counts.
    """
    share = scored / size.subwords
    loss = nats / (size.words * share)
    return {
        "perplexity": perplexity(loss),
        "loss": loss,
        "bits_per_byte": nats / (size.bytes * share) / math.log(2.0),
    }
