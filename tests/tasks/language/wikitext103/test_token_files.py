"""Texts become ids, mapped into memory, made once and made again where they are damaged."""

from __future__ import annotations

from array import array
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text import token_files
from optathlon.tasks.language.wikitext103.dataset import LAYOUTS, SPLITS, prepare, read
from tests.tasks.language.wikitext103.texts import TEXT, WORDS, lay


def test_ids_are_eos_then_ranks_in_training_with_ties_by_first_appearance(tmp_path: Path) -> None:
    prepare(lay(tmp_path))
    corpus = read(tmp_path)
    assert corpus.words == WORDS
    assert corpus.train.tolist() == [0, 2, 3, 1, 2, 0, 0, 1, 1, 4, 5, 0]
    assert corpus.validation.tolist() == [1, 3, 0]
    assert corpus.test.tolist() == [2, 5, 2, 0, 0]


def test_eos_comes_first_even_where_it_is_not_the_most_frequent(tmp_path: Path) -> None:
    ids, lines, tokens = token_files.vocabulary([" x x x \n", "\n", " <unk> \u00a0 X\u2003x \n"])
    assert ids == {"<eos>": 0, "x": 1, "<unk>": 2, "X": 3}, "words end at any white space of Unicode, case is kept"
    assert (lines, tokens) == (3, 9)


def test_every_line_ends_in_eos_also_an_empty_one(tmp_path: Path) -> None:
    made = prepare(lay(tmp_path))
    assert made.lines == {"train": 4, "valid": 1, "test": 2}
    assert made.tokens == {"train": 12, "valid": 3, "test": 5}
    assert made.words == 6


def test_ids_are_mapped_into_memory_as_32_bits(tmp_path: Path) -> None:
    prepare(lay(tmp_path))
    train = read(tmp_path).train
    assert isinstance(train, np.memmap)
    assert train.dtype == np.uint32
    assert isinstance(read(tmp_path).cut(5, 2).train, np.memmap)


def test_a_word_that_training_lacks_is_refused_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test, line 2: 'zebra' is not among the 6 words of train; .*<unk>.*raw"):
        prepare(lay(tmp_path, text=TEXT | {"test": " b \n zebra \n"}))
    assert not list(tmp_path.glob("*tokens*"))


def test_token_files_are_made_once_and_again_for_another_text(tmp_path: Path) -> None:
    prepare(lay(tmp_path))
    first = (tmp_path / "tokens" / "train.npy").stat()
    prepare(tmp_path)
    assert (tmp_path / "tokens" / "train.npy").stat() == first
    prepare(lay(tmp_path, text=TEXT | {"train": TEXT["train"] + " new \n"}))
    assert "new" in read(tmp_path).words


def test_several_processes_at_once_make_the_same_files(tmp_path: Path) -> None:
    lay(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: prepare(tmp_path), range(24)))
    assert made.count(made[0]) == 24
    assert read(tmp_path).words == WORDS
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tokens", "wikitext-103"]


@pytest.mark.parametrize("file", ["train.npy", "vocabulary.txt"])
def test_token_files_that_are_gone_or_damaged_are_named_and_made_again(tmp_path: Path, file: str) -> None:
    prepare(lay(tmp_path))
    (tmp_path / "tokens" / file).unlink()
    with pytest.raises(DataError, match=rf"tokens cannot be read .*{file}.*; remove it"):
        read(tmp_path)
    prepare(tmp_path)
    assert read(tmp_path).words == WORDS
    (tmp_path / "tokens" / "train.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match="tokens cannot be read"):
        read(tmp_path)
    prepare(tmp_path)
    assert read(tmp_path).words == WORDS


@pytest.mark.parametrize("file", ["train.npy", "test.npy", "vocabulary.txt"])
def test_token_files_edited_without_a_change_of_size_are_made_again(tmp_path: Path, file: str) -> None:
    prepare(lay(tmp_path))
    path = tmp_path / "tokens" / file
    made = path.read_bytes()
    path.write_bytes(made[:-2] + bytes([made[-2] ^ 1]) + made[-1:])
    prepare(tmp_path)
    assert path.read_bytes() == made


def test_what_stands_in_the_place_of_token_files_is_no_obstacle(tmp_path: Path) -> None:
    lay(tmp_path)
    (tmp_path / "tokens").write_text("no folder")
    prepare(tmp_path)
    for damaged in (b'{"source":"\xff"}', b'{"x":' + b"[" * 10**5):
        (tmp_path / "tokens" / "about.json").write_bytes(damaged)
        prepare(tmp_path)
    assert read(tmp_path).words == WORDS


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_words(tmp_path: Path) -> None:
    lay(tmp_path)
    for split in SPLITS:
        path = tmp_path / LAYOUTS[0].format(split)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    prepare(tmp_path)
    assert read(tmp_path).words == WORDS


def test_token_files_that_are_not_whole_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="tokens is missing; `optathlon data prepare"):
        read(lay(tmp_path))
    prepare(tmp_path)
    np.save(tmp_path / "tokens" / "valid.npy", np.zeros(1, dtype=np.uint32))
    with pytest.raises(DataError, match="tokens is not whole; remove it"):
        read(tmp_path)


def test_token_files_are_written_as_numpy_does_and_name_the_full_disk(tmp_path: Path) -> None:
    ids = np.arange(5, dtype=np.uint32)
    token_files._encode(tmp_path / "ours.npy", 5, [array("I", [0, 1]), array("I", [2, 3, 4])])
    np.lib.format.open_memmap(tmp_path / "theirs.npy", "w+", np.uint32, (5,))[:] = ids
    assert (tmp_path / "ours.npy").read_bytes() == (tmp_path / "theirs.npy").read_bytes()
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        token_files._encode(Path("/dev/full"), 5, [array("I", range(5))])
