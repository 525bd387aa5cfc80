"""WikiText-103 on disk: what is accepted, what is refused, how its words are numbered, mapped and imitated."""

from __future__ import annotations

import importlib.util
import socket
import sys
from pathlib import Path

import numpy as np
import pytest

from optathlon.tasks.data import dataset
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.text.ngrams import bigram_perplexity, unigram_perplexity
from optathlon.tasks.language.wikitext103 import dataset as wikitext103
from optathlon.tasks.language.wikitext103 import miniature, standin
from optathlon.tasks.language.wikitext103.dataset import ARCHIVE, LAYOUTS, SPLITS, WikiText103, prepare, read
from tests.tasks.language.wikitext103.texts import TEXT, archive, digests, lay


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_published_layout_is_accepted_and_other_text_is_not_called_official(tmp_path: Path, layout: str) -> None:
    lay(tmp_path / "wikitext-103", layout)
    assert dataset.prepare(WikiText103(), tmp_path).edition.startswith("custom-")
    assert dataset.check(WikiText103(), tmp_path).files == 8


def test_official_text_is_known_by_its_counts_and_the_archive_by_its_md5(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = archive(tmp_path / "wikitext-103")
    monkeypatch.setattr(wikitext103, "LINES", {"train": 4, "valid": 1, "test": 2})
    monkeypatch.setattr(wikitext103, "TOKENS", {"train": 12, "valid": 3, "test": 5})
    assert WikiText103().verify(folder) is None
    monkeypatch.setattr(wikitext103, "WORDS", 6)
    assert WikiText103().verify(folder) == "counts of lines, tokens and words"
    monkeypatch.setattr(wikitext103, "ARCHIVE_MD5", file_digest(folder / ARCHIVE, "md5"))
    made = dataset.prepare(WikiText103(), tmp_path)
    assert (made.edition, made.verified) == (
        "official",
        "MD5 of wikitext-103-v1.zip, counts of lines, tokens and words",
    )


def test_the_published_counts_are_those_of_the_page() -> None:
    assert wikitext103.LINES == {"train": 1_801_350, "valid": 3_760, "test": 4_358}
    assert wikitext103.TOKENS == {"train": 103_227_021, "valid": 217_646, "test": 245_569}
    assert (wikitext103.WORDS, wikitext103.ARCHIVE_MD5) == (267_735, "9ddaacaf6af0710eda8c456decff7832")


def test_nothing_but_the_three_files_leaves_the_archive(tmp_path: Path) -> None:
    others = ["../escaped.txt", "wikitext-103/wiki.extra.tokens", str(tmp_path / "escaped")]
    folder = archive(tmp_path / "wikitext-103", others)
    assert WikiText103().verify(folder) is None
    files = {
        p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file() and "/tokens/" not in str(p)
    }
    assert files == {f"wikitext-103/{name}" for name in (ARCHIVE, *(LAYOUTS[0].format(s) for s in SPLITS))}


def test_a_damaged_archive_names_the_md5_that_is_right_and_leaves_nothing(tmp_path: Path) -> None:
    folder = archive(tmp_path)
    whole = (folder / ARCHIVE).read_bytes()
    flipped = bytearray(whole)
    flipped[60] ^= 0xFF
    for content in (b"not an archive", whole[:150], bytes(flipped)):
        (folder / ARCHIVE).write_bytes(content)
        with pytest.raises(DataError, match=r"is damaged .*with MD5 9ddaacaf"):
            WikiText103().verify(folder)
        assert [p.name for p in folder.iterdir()] == [ARCHIVE]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b" a <eos> \n b <eos> \n", r"wikitext-103: .*train: 2 of 2 lines begin or end in <eos> already"),
        (b" a \r b \r", r"wikitext-103: .*wiki\.train\.tokens ends its lines by CR alone"),
        (" a \n b \n".encode("utf-16-be"), r"wikitext-103: .*wiki\.train\.tokens is not UTF-8 but UTF-16"),
    ],
)
def test_text_that_cannot_be_wikitext_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    for split in SPLITS:
        (tmp_path / f"wiki.{split}.tokens").write_bytes(content)
    with pytest.raises(DataError, match=message):
        WikiText103().verify(tmp_path)


def test_line_ends_and_marks_make_no_other_edition(tmp_path: Path) -> None:
    """What is made of the text, token files that tell its bytes, names no edition."""
    lay(tmp_path / "a" / "wikitext-103")
    lay(tmp_path / "b" / "wikitext-103", text={s: "\ufeff" + text.replace("\n", "\r\n") for s, text in TEXT.items()})
    editions = {dataset.prepare(WikiText103(), tmp_path / root).edition for root in "ab"}
    assert len(editions) == 1


def test_an_archive_without_one_of_the_files_names_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"zip holds no wikitext-103/wiki\.test\.tokens; expected wikitext-103-v1\.zip"):
        WikiText103().verify(archive(tmp_path, text={"train": " a \n", "valid": " a \n"}))


def test_a_member_of_absurd_size_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wikitext103, "LARGEST", 10)
    with pytest.raises(DataError, match="more than the 10 expected"):
        WikiText103().verify(archive(tmp_path))


def test_what_is_missing_or_there_twice_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds none of the files; expected wikitext-103-v1\.zip \(MD5 9ddaac"):
        prepare(tmp_path)
    lay(tmp_path, text={split: TEXT[split] for split in ("train", "valid")})
    with pytest.raises(DataError, match=r"wiki\.test\.tokens is missing; expected wiki\.train\.tokens, "):
        prepare(tmp_path)
    lay(lay(tmp_path), "{}.txt")
    with pytest.raises(DataError, match=r"two copies of the data, .*wiki\.\*\.tokens and .*\*\.txt; keep one"):
        prepare(tmp_path)


@pytest.mark.parametrize("content", ["", " \n\n \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    with pytest.raises(DataError, match=r"wiki\.valid\.tokens is empty; expected lines of words"):
        prepare(lay(tmp_path, text=TEXT | {"valid": content}))


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    (lay(tmp_path) / LAYOUTS[0].format("train")).write_bytes(b" caf\xe9 \n")
    with pytest.raises(DataError, match=r"wiki\.train\.tokens is not UTF-8"):
        prepare(tmp_path)


def hub_rows(folder: Path) -> dict[str, list[str]]:
    """As the hub has it: a row a line with its end, empty where the line holds nothing but white space."""
    text = {split: (folder / LAYOUTS[0].format(split)).read_text().splitlines(keepends=True) for split in SPLITS}
    return {s: [line if line.strip() else "" for line in lines] for s, lines in text.items()}


@pytest.mark.parametrize("form", ["saved", "parquet", "parquet in its folder"])
def test_the_hubs_copy_gives_the_same_tokens(tmp_path: Path, form: str) -> None:
    datasets = pytest.importorskip("datasets")
    WikiText103().write_miniature(tmp_path / "text")
    rows = hub_rows(tmp_path / "text")
    names = {"train": "train", "valid": "validation", "test": "test"}
    copies = {names[split]: datasets.Dataset.from_dict({"text": lines}) for split, lines in rows.items()}
    folder = tmp_path / "wikitext-103"
    if form == "saved":
        datasets.DatasetDict(copies).save_to_disk(folder)
    else:
        below = folder / "wikitext-103-v1" if form.endswith("folder") else folder
        below.mkdir(parents=True)
        half = copies["train"].num_rows // 2
        copies["train"].select(range(half)).to_parquet(below / "train-00000-of-00002.parquet")
        copies["train"].select(range(half, 2 * half)).to_parquet(below / "train-00001-of-00002.parquet")
        for split in ("validation", "test"):
            copies[split].to_parquet(below / f"{split}-00000-of-00001.parquet")
    prepare(tmp_path / "text")
    assert dataset.prepare(WikiText103(), tmp_path).edition.startswith("custom-")
    assert digests(folder) == digests(tmp_path / "text")
    made = (folder / "tokens").stat()
    dataset.prepare(WikiText103(), tmp_path)
    assert (folder / "tokens").stat() == made


@pytest.mark.parametrize("form", ["saved", "parquet"])
def test_a_copy_of_the_hub_is_read_without_a_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    datasets = pytest.importorskip("datasets")
    rows, asked = datasets.Dataset.from_dict({"text": [" a \n"]}), []
    if form == "saved":
        datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), rows)).save_to_disk(tmp_path)
    else:
        for name in ("train", "validation", "test"):
            rows.to_parquet(tmp_path / f"{name}-00000-of-00001.parquet")
    actual = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda *a, **k: (asked.append(a), actual(*a, **k))[1])
    prepare(tmp_path)
    assert read(tmp_path).words == ("<eos>", "a")
    assert not asked


def test_a_broken_copy_of_the_hub_is_refused(tmp_path: Path) -> None:
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}-00000-of-00001.parquet").write_bytes(b"PAR1 is not all it takes")
    with pytest.raises(DataError, match=r"split train .*ValueError: train-00000-of-00001\.parquet: .* of the hub"):
        prepare(tmp_path)
    assert not (tmp_path / "tokens").exists()


def test_a_saved_copy_with_a_strange_description_is_refused(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_dict({"text": [" a \n"]})
    datasets.DatasetDict(dict.fromkeys(("train", "validation", "test"), rows)).save_to_disk(tmp_path)
    (tmp_path / "train" / "dataset_info.json").write_text("[]")
    with pytest.raises(DataError, match=r"split train cannot be read .*expected a text data set of the hub"):
        prepare(tmp_path)


def test_a_copy_of_the_hub_that_lacks_a_file_is_refused(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    for name in ("train-00000-of-00002", "validation-00000-of-00001", "test-00000-of-00001"):
        datasets.Dataset.from_dict({"text": [" a \n"]}).to_parquet(tmp_path / f"{name}.parquet")
    with pytest.raises(DataError, match=r"split train .*1 parquet files of train, but by their names it is 2"):
        prepare(tmp_path)
    assert not (tmp_path / "tokens").exists()


def test_the_miniature_is_in_the_official_format_and_the_same_each_time(tmp_path: Path) -> None:
    for root in (tmp_path / "a", tmp_path / "b"):
        assert dataset.build(WikiText103(), root, "miniature").edition == "miniature-1"
    folders = [root / "wikitext-103" for root in (tmp_path / "a", tmp_path / "b")]
    assert digests(folders[0]) == digests(folders[1])
    lines = (folders[0] / LAYOUTS[0].format("test")).read_text().split("\n")[:-1]
    assert all(line.startswith(" ") and (line == " " or line.endswith(" ")) for line in lines)
    assert sum(line.startswith(" = ") and line.count("=") == 2 for line in lines) == miniature.ARTICLES["test"]
    corpus = read(folders[0])
    assert corpus.words[0] == "<eos>"
    assert {"<unk>", "=", "@,@", "town"} <= set(corpus.words)
    counts = np.bincount(corpus.train)
    assert (np.diff(counts[1:]) <= 0).all(), "ids are ranks"
    assert bigram_perplexity(corpus) < 0.2 * unigram_perplexity(corpus)


def test_wikipedias_markup_becomes_wikitext() -> None:
    text = (
        "{{Infobox|a={{b}}}}\n'''Albedo''' (; ''whiteness'')<ref name=\"x\">{{cite|1}}</ref> is [[Dimension|a "
        "well-known]] 10,000-fold [[ratio]].<!-- no -->\n[[File:a.jpg|thumb|A [[cat]]]]\n* a list\n{| class=x\n| cell\n"
        "|}\n==Empty==\n===Below===\n{{Main|x}}\n== Earth &amp; sea ==\nIt can't be 3.5&nbsp;%; see [http://a.b it].\n"
        "More.\n==References==\nNothing.\n"
    )
    assert [" ".join(line) for line in standin.article("Albedo", text)] == [
        "",
        "= Albedo =",
        "",
        "Albedo ( whiteness ) is a well @-@ known 10 @,@ 000 @-@ fold ratio .",
        "",
        "= = Earth & sea = =",
        "",
        "It can 't be 3 @.@ 5 % ; see it .",
        "More .",
    ]


def test_without_the_package_the_standin_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"wikitext-103: the stand-in .* gensim, .*pip install 'optathlon\[standins\]'"):
        dataset.build(WikiText103(), tmp_path, "standin")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("gensim") is None, reason="needs the package gensim")
def test_the_standin_is_a_hundred_real_articles(tmp_path: Path) -> None:
    made = dataset.build(WikiText103(), tmp_path, "standin")
    assert (made.edition, made.verified) == ("standin-1", "made from gensim 4.4.0")
    assert "gensim" not in sys.modules, "its file is read, its compiled parts are not"
    corpus = read(tmp_path / "wikitext-103")
    assert len(corpus.words) == 11_997
    assert [len(corpus.train), len(corpus.validation), len(corpus.test)] == [436_521, 30_157, 32_506]
    assert 460 < unigram_perplexity(corpus) < 490
    assert 175 < bigram_perplexity(corpus) < 195
