"""Shared data is read where it lies; what is made of it goes beside it, or below the cache where that is read-only."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from optathlon.tasks.data import places
from optathlon.tasks.data.dataset import check, edition, prepare, require
from optathlon.tasks.data.places import cached, folder_of
from optathlon.tasks.errors import DataError
from optathlon.tasks.language.ptb.dataset import PennTreebank
from optathlon.tasks.language.ptb.layout import read
from optathlon.tasks.language.wikitext103 import dataset as wikitext
from optathlon.tasks.language.wikitext103.dataset import WikiText103
from tests.miniatures import put_miniatures


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch):
    """Makes folders read-only also for root, who may write everywhere: each try to write there is refused."""
    protected: set[str] = set()
    real = {name: getattr(os, name) for name in ("open", "mkdir", "rename", "replace", "symlink", "unlink")}

    def below(path: object) -> bool:
        return isinstance(path, str | os.PathLike) and any(os.path.realpath(path).startswith(k) for k in protected)

    def guarded(name: str):
        def call(path, *rest, **named):
            writes = name != "open" or bool(rest and rest[0] & (os.O_WRONLY | os.O_RDWR))
            target = rest[0] if name in ("rename", "replace", "symlink") else path
            if writes and below(Path(target).parent if name != "open" else target):
                raise OSError(30, os.strerror(30), os.fspath(target))
            return real[name](path, *rest, **named)

        return call

    for name in real:
        monkeypatch.setattr(os, name, guarded(name))
    return lambda folder: protected.add(os.path.realpath(folder))


def lay_ptb(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (folder / f"ptb.{split}.txt").write_text(f" a cat sat \n the {split} \n")
    return folder


def lay_wikitext(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for split in ("train", "valid", "test"):
        (folder / f"wiki.{split}.tokens").write_text(" \n = Town = \n \n the town \n")
    return folder


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_a_read_only_data_folder_is_prepared_in_the_cache_and_read_from_there(
    tmp_path: Path, cache: Path, read_only
) -> None:
    root = tmp_path / "shared"
    before = files(lay_wikitext(root / "wikitext-103"))
    read_only(root)
    made = prepare(WikiText103(), root)
    assert made.edition.startswith("custom-")
    assert edition(root, "wikitext-103") == made.edition
    assert require(WikiText103(), root) == check(WikiText103(), root) == made
    folder = folder_of(root, "wikitext-103")
    assert folder.is_relative_to(cache)
    assert wikitext.read(folder).words[0] == "<eos>"
    assert files(root / "wikitext-103") == before
    assert (folder / "wiki.train.tokens").readlink() == root / "wikitext-103" / "wiki.train.tokens"


def test_the_edition_does_not_depend_on_where_the_data_is_prepared(tmp_path: Path, read_only) -> None:
    lay_ptb(tmp_path / "plain" / "ptb")
    lay_ptb(tmp_path / "shared" / "ptb")
    read_only(tmp_path / "shared")
    editions = {prepare(PennTreebank(), tmp_path / root).edition for root in ("plain", "shared")}
    source = lay_ptb(tmp_path / "elsewhere")
    editions.add(prepare(PennTreebank(), tmp_path / "data", source).edition)
    assert len(editions) == 1


def test_what_was_prepared_beside_the_data_is_used_where_it_is_read_only(tmp_path: Path, read_only) -> None:
    folder = lay_ptb(tmp_path / "shared" / "ptb")
    made = prepare(PennTreebank(), tmp_path / "shared")
    read_only(tmp_path / "shared")
    assert folder_of(tmp_path / "shared", "ptb") == folder
    assert require(PennTreebank(), tmp_path / "shared") == made


@pytest.mark.parametrize("writable", [True, False])
def test_a_folder_may_have_a_name_that_is_no_text(writable, tmp_path: Path, read_only) -> None:
    root = tmp_path / os.fsdecode(b"sh\xffred\n data")
    lay_ptb(root / "ptb")
    if not writable:
        read_only(root)
    made = prepare(PennTreebank(), root)
    assert require(PennTreebank(), root) == check(PennTreebank(), root) == made
    assert folder_of(root, "ptb").is_relative_to(root) == writable


def test_from_takes_sources_where_they_are_and_only_those_of_the_data_set(tmp_path: Path, read_only) -> None:
    source = lay_ptb(tmp_path / "torch")
    (source / "ImageNet").mkdir()
    (source / "ImageNet" / "a.jpg").write_text("another data set's")
    read_only(source)
    prepare(PennTreebank(), tmp_path / "data", source)
    folder = tmp_path / "data" / "ptb"
    assert {n for n in files(folder) if not n.startswith(".")} == {
        "ptb.train.txt", "ptb.valid.txt", "ptb.test.txt", "manifest.json", "files.tsv",
    }  # fmt: skip
    assert read(folder).words[:3] == ("a", "cat", "sat")
    (source / "ptb.test.txt").write_text(" another \n")
    with pytest.raises(DataError, match=r"ptb\.test\.txt has 10 bytes"):
        check(PennTreebank(), tmp_path / "data")


def test_prepare_again_follows_the_links_that_from_made(tmp_path: Path) -> None:
    source = lay_ptb(tmp_path / "elsewhere")
    first = prepare(PennTreebank(), tmp_path / "data", source).edition
    for split in ("train", "valid", "test"):
        (source / f"ptb.{split}.txt").rename(source / f"moved.{split}")
    (source / "penn").mkdir()
    for split in ("train", "valid", "test"):
        (source / "penn" / f"{split}.txt").write_text(" another text \n")
    assert prepare(PennTreebank(), tmp_path / "data").edition != first
    assert not (tmp_path / "data" / "ptb" / "ptb.train.txt").is_symlink()


def test_an_archive_in_a_read_only_folder_is_unpacked_beside_the_links(tmp_path: Path, read_only, tar_of_ptb) -> None:
    source = tmp_path / "archives"
    source.mkdir()
    tar_of_ptb(source / "simple-examples.tgz")
    read_only(source)
    prepare(PennTreebank(), tmp_path / "data", source)
    assert files(source) == {"simple-examples.tgz"}
    assert read(tmp_path / "data" / "ptb").train.size


@pytest.fixture
def tar_of_ptb(tmp_path: Path):
    import tarfile

    def pack(archive: Path) -> None:
        lay_ptb(tmp_path / "texts")
        with tarfile.open(archive, "w:gz") as tar:
            for split in ("train", "valid", "test"):
                tar.add(tmp_path / "texts" / f"ptb.{split}.txt", f"./simple-examples/data/ptb.{split}.txt")

    return pack


def test_large_folders_are_one_link_each_and_small_ones_can_be_added_to(tmp_path: Path) -> None:
    for number in range(21):
        (tmp_path / "source" / "val" / "n01").mkdir(parents=True, exist_ok=True)
        (tmp_path / "source" / "val" / "n01" / f"{number}.JPEG").write_bytes(b"")
    (tmp_path / "source" / "Shop" / "Img").mkdir(parents=True)
    (tmp_path / "source" / "Shop" / "Img" / "img.zip").write_bytes(b"")
    places.link(tmp_path / "source", tmp_path / "links", "*")
    assert (tmp_path / "links" / "val" / "n01").is_symlink()
    (tmp_path / "links" / "Shop" / "Img" / "img").mkdir()
    assert not (tmp_path / "source" / "Shop" / "Img" / "img").exists()


def test_links_that_are_right_are_not_touched_while_others_may_read_through_them(tmp_path: Path, monkeypatch) -> None:
    source, folder = lay_ptb(tmp_path / "source"), tmp_path / "links"
    (source / "sub").mkdir()
    (source / "sub" / "a.txt").write_text("a")
    places.link(source, folder, "*")
    before = {path: path.lstat().st_ino for path in folder.rglob("*.txt")}
    assert len(before) == 4
    (source / "ptb.test.txt").unlink()
    places.link(source, folder, "*")
    assert {path: path.lstat().st_ino for path in folder.rglob("*.txt")} == {
        path: number for path, number in before.items() if path.name != "ptb.test.txt"
    }
    lay_ptb(tmp_path / "moved")
    places.link(tmp_path / "moved", folder, "*")
    assert (folder / "ptb.train.txt").readlink() == tmp_path / "moved" / "ptb.train.txt"
    assert not (folder / "sub" / "a.txt").is_symlink()


def test_a_process_that_links_at_the_same_time_is_no_error(tmp_path: Path, monkeypatch) -> None:
    source, real = lay_ptb(tmp_path / "source"), os.symlink

    def beaten(target, link, *rest, **named):
        real(target, link, *rest, **named)
        real(target, link, *rest, **named)

    monkeypatch.setattr(os, "symlink", beaten)
    places.link(source, tmp_path / "links", "*")
    assert len(files(tmp_path / "links") - {".taken-from"}) == 3


def test_from_is_refused_where_other_files_lie_and_for_what_is_not_there(tmp_path: Path) -> None:
    lay_ptb(tmp_path / "data" / "ptb")
    source = lay_ptb(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"ptb: .*ptb holds files of its own, which are left alone"):
        prepare(PennTreebank(), tmp_path / "data", source)
    with pytest.raises(DataError, match="is no folder; expected the one in which the data lies"):
        prepare(PennTreebank(), tmp_path / "other", tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty holds none of .*ptb\.\*\.txt"):
        prepare(PennTreebank(), tmp_path / "other", tmp_path / "empty")
    with pytest.raises(DataError, match=r"does not exist; .*--from FOLDER"):
        prepare(PennTreebank(), tmp_path / "other")


def test_a_miniature_is_not_promoted_by_taking_it_from_its_folder(tmp_path: Path) -> None:
    put_miniatures(tmp_path, "ptb")
    with pytest.raises(DataError, match="holds edition miniature-1; put official files"):
        prepare(PennTreebank(), tmp_path / "other", tmp_path / "ptb")


def test_a_full_disk_is_not_taken_for_a_read_only_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(places.tempfile, "TemporaryFile", full)
    assert places.is_writable(tmp_path)
    assert cached(tmp_path, "ptb") == cached(tmp_path / "." / "", "ptb")
