"""The nine classes' photos and ImageNet-A's: found by synset, joined with their clusters by name."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torchvision

from optathlon.tasks.data.dataset import FILES, build, prepare
from optathlon.tasks.data.npm import files
from optathlon.tasks.errors import DataError
from optathlon.tasks.images import emoji
from optathlon.tasks.rebias.imagenet9 import dataset, standin
from optathlon.tasks.rebias.imagenet9.classes import IMAGENET_A, LABELS
from optathlon.tasks.rebias.imagenet9.dataset import ImageNet9, ImageNetA, read_imagenet_a
from optathlon.tasks.rebias.imagenet9.layout import CLUSTERS, TRAIN, VAL, Nine, name_of, read
from optathlon.tasks.rebias.imagenet9.unbiased import cells
from tests.miniatures import put_miniatures
from tests.tasks.packages import packages_or_skip


@pytest.fixture(scope="module")
def miniatures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "imagenet9", "imagenet-a")
    for name in ("imagenet9", "imagenet-a"):  # as if a user had put them there
        for ours in ("manifest.json", "files.tsv"):
            (root / name / ours).unlink()
    return root


@pytest.fixture
def folder(miniatures: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(miniatures / "imagenet9", tmp_path / "imagenet9"))


@pytest.fixture
def hard(miniatures: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(miniatures / "imagenet-a", tmp_path / "imagenet-a"))


def names(found: Nine) -> tuple[list[str], list[str]]:
    return [name_of(p) for p in found.train], [name_of(p) for p in found.val]


def test_the_photos_are_those_of_torchvisions_image_folder(miniatures: Path) -> None:
    found = read(miniatures / "imagenet9")
    for split, ours in ((TRAIN, found.train), (VAL, found.val)):
        theirs = torchvision.datasets.ImageFolder(str(miniatures / "imagenet9" / split))
        assert [str(p.path) for p in ours] == [path for path, _ in theirs.samples]
        assert [p.label for p in ours] == [LABELS[theirs.classes[number]] for number in theirs.targets]


def test_other_synsets_hidden_files_and_strange_files_are_passed_over(folder: Path) -> None:
    before = names(read(folder))
    for split in (TRAIN, VAL):
        shutil.copytree(folder / split / "n01641577", folder / split / "n01440764")
        (folder / split / ".cache").mkdir()
        (folder / split / "n01641577" / "._n01641577_0.JPEG").write_bytes(b"left by some system")
        (folder / split / "n01641577" / "Thumbs.db").write_bytes(b"")
    assert names(read(folder)) == before
    assert ImageNet9().verify(folder) is None


def test_linked_folders_will_do(folder: Path, tmp_path: Path) -> None:
    linked = tmp_path / "links" / "imagenet9"
    linked.mkdir(parents=True)
    for name in (TRAIN, VAL, CLUSTERS):
        (linked / name).symlink_to(folder / name)
    assert names(read(linked)) == names(read(folder))


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


def test_clusters_are_joined_by_name_in_whatever_order_they_stand(folder: Path) -> None:
    before = read(folder).clusters
    header, *lines = (folder / CLUSTERS).read_text().splitlines()
    (folder / CLUSTERS).unlink()
    (folder / "clusters").mkdir()
    content = "\ufeff" + "\r\n".join([header, *reversed(lines)]) + "\r\n"
    (folder / "clusters" / CLUSTERS).write_text(content, encoding="utf-8", newline="")
    np.testing.assert_array_equal(read(folder).clusters, before)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("path,category", "path,class", r"has columns 'path,class,cluster1,cluster2,cluster3', expected path,category"),
        (",frog,", ",toad,", r"line 2: n01641577/ILSVRC2012_val_00000001\.JPEG is called 'toad', expected 'frog'"),
        (",frog,", ",frog,9,", r"line 2: has 6 fields"),
        (",frog,", ",frog\n", r"line 2: has 2 fields"),
        ("val_00000001", "val_09000001", r"has n01641577/ILSVRC2012_val_09000001\.JPEG, which is not among the 420"),
        ("val_00000002", "val_00000001", r"line 3: n01641577/ILSVRC2012_val_00000001\.JPEG stands there twice"),
    ],
)
def test_clusters_that_are_wrong_are_named_by_line(folder: Path, old: str, new: str, message: str) -> None:
    edit(folder / CLUSTERS, old, new)
    with pytest.raises(DataError, match=rf"9class_imagenet_val\.csv,? {message}"):
        ImageNet9().verify(folder)


def test_a_cluster_out_of_range_or_missing_is_named(folder: Path) -> None:
    lines = (folder / CLUSTERS).read_text().splitlines()
    (folder / CLUSTERS).write_text("\n".join([*lines[:-1], lines[-1][:-1] + "9"]))
    with pytest.raises(DataError, match=r"line 421: '9' is no cluster, expected 0 to 8"):
        read(folder)
    (folder / CLUSTERS).write_text("\n".join(lines[:-1]))
    with pytest.raises(DataError, match=r"has no line for n02655020/ILSVRC2012_val_.*, one of the 420 photos"):
        read(folder)
    (folder / CLUSTERS).write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"9class_imagenet_val\.csv cannot be read"):
        read(folder)


def test_without_clusters_it_is_said_where_they_come_from_and_how_to_make_some(folder: Path) -> None:
    (folder / CLUSTERS).unlink()
    with pytest.raises(
        DataError, match=r"no 9class_imagenet_val\.csv .*clovaai/rebias .*-m optathlon\.tasks.*clusters"
    ):
        ImageNet9().verify(folder)


def test_missing_synsets_and_damaged_photos_are_named(folder: Path) -> None:
    photo = folder / TRAIN / "n02219486" / "n02219486_3.JPEG"
    photo.write_bytes(photo.read_bytes()[:-200])
    with pytest.raises(DataError, match=r"n02219486_3\.JPEG is not a whole image"):
        ImageNet9().verify(folder)
    shutil.rmtree(folder / VAL / "n02219486")
    with pytest.raises(DataError, match=r"val: no folder n02219486 .*each synset of the nine classes"):
        ImageNet9().verify(folder)
    (folder / VAL / "n02219486").mkdir()
    with pytest.raises(DataError, match=r"n02219486 has no photos"):
        ImageNet9().verify(folder)


def test_official_by_the_counts_and_the_clusters(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the miniature's own in place of the official ones."""
    monkeypatch.setattr(dataset, "VALIDATION", (50, 50, 30, 50, 50, 50, 50, 40, 50))
    assert ImageNet9().verify(folder) is None
    digest = hashlib.sha256((folder / CLUSTERS).read_bytes()).hexdigest()
    monkeypatch.setattr(dataset, "CLUSTERS_SHA256", digest)
    assert prepare(ImageNet9(), folder.parent).edition == "official"


def test_imagenet_a_is_read_from_its_folder_or_the_folder_itself(hard: Path) -> None:
    listed = read_imagenet_a(hard)
    assert len(listed) == 6 * len(IMAGENET_A)
    assert {p.path.parent.name for p in listed} == set(IMAGENET_A)
    for path in (hard / "imagenet-a").iterdir():
        path.rename(hard / path.name)
    (hard / "imagenet-a").rmdir()
    assert [name_of(p) for p in read_imagenet_a(hard)] == [name_of(p) for p in listed]
    shutil.rmtree(hard / "n02655020")
    with pytest.raises(DataError, match="no folder n02655020"):
        ImageNetA().verify(hard)
    shutil.rmtree(hard / IMAGENET_A[0])
    with pytest.raises(DataError, match=r"imagenet-a: no n02085620 in .*; expected imagenet-a\.tar"):
        ImageNetA().verify(hard)


def test_imagenet_as_archive_is_unpacked_if_it_is_the_official_one(hard: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = hard / dataset.ARCHIVE
    with tarfile.open(archive, "w") as tar:
        tar.add(hard / "imagenet-a", "imagenet-a")
    shutil.rmtree(hard / "imagenet-a")
    with pytest.raises(DataError, match=r"imagenet-a\.tar has MD5 .*, expected c3e55429088dc681f30d81f4726b6595"):
        ImageNetA().verify(hard)
    monkeypatch.setattr(dataset, "ARCHIVE_MD5", hashlib.md5(archive.read_bytes()).hexdigest())
    assert ImageNetA().verify(hard) is None
    monkeypatch.setattr(dataset, "HARD_PHOTOS", 126)
    assert prepare(ImageNetA(), hard.parent).edition == "official"


@pytest.mark.slow
def test_the_miniatures_are_small_and_the_same_each_time(tmp_path: Path) -> None:
    for made in (ImageNet9(), ImageNetA()):
        editions = [build(made, tmp_path / name, "miniature") for name in "ab"]
        assert editions[0] == editions[1]
        assert editions[0].edition == "miniature-1"
        assert editions[0].size < 3 << 20
        listed = [(tmp_path / name / made.name / FILES).read_text() for name in "ab"]
        assert listed[0] == listed[1]


def test_the_miniatures_textures_mostly_tell_the_class_in_training(miniatures: Path) -> None:
    found = read(miniatures / "imagenet9")
    labels = np.array([p.label for p in found.val])
    for clusters in found.clusters[:1]:
        table = cells(labels, clusters)
        assert 0.3 < np.trace(table) / table.sum() < 0.5
        assert ((table >= 5) & ~np.eye(9, dtype=bool)).sum() >= 9, "cells off the diagonal are kept in smoke"


@pytest.mark.slow
def test_emoji_of_nine_kinds_are_the_stand_ins(tmp_path: Path) -> None:
    with packages_or_skip():
        emoji.renderer()
        for package in (*emoji.SETS.values(), standin.NAMES):
            files(package, [])
    for made in (ImageNet9(), ImageNetA()):
        assert build(made, tmp_path, "standin").edition == "standin-1"
    found, odd = read(tmp_path / "imagenet9"), read_imagenet_a(tmp_path / "imagenet-a")
    assert (len(found.train), len(found.val), len(odd)) == (1301, 298, 323)
    assert {p.label for p in found.train} == {p.label for p in found.val} == set(range(9))
