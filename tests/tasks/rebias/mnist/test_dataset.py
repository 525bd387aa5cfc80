"""MNIST's files: read as torchvision reads them, proven official by digest, imitated in the same layout."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torchvision
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

from optathlon.tasks.data.dataset import FILES, build, check, edition, prepare
from optathlon.tasks.errors import DataError
from optathlon.tasks.rebias.mnist import dataset, standin
from optathlon.tasks.rebias.mnist.dataset import OFFICIAL, Digests, Mnist, read, read_idx

NAMES = list(OFFICIAL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder mnist/ with the four files of the miniature and nothing else."""
    folder = tmp_path / "mnist"
    Mnist().write_miniature(folder)
    return folder


def pack(folder: Path) -> None:
    for name in NAMES:
        path = folder / "raw" / name
        (folder / "raw" / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()


@pytest.mark.parametrize("train", [True, False])
def test_the_files_are_read_as_torchvision_reads_them(folder: Path, train: bool) -> None:
    shutil.copytree(folder / "raw", folder / "MNIST" / "raw")
    theirs = torchvision.datasets.MNIST(folder, train=train, download=False)
    images, labels = read(folder, "train" if train else "test")
    np.testing.assert_array_equal(images, theirs.data.numpy())
    np.testing.assert_array_equal(labels, theirs.targets.numpy())


def test_gzipped_files_are_read_as_unpacked_ones(folder: Path) -> None:
    unpacked = read(folder, "train")
    pack(folder)
    for ours, theirs in zip(read(folder, "train"), unpacked, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def damage(folder: Path, name: str, how: str) -> None:
    path = folder / "raw" / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "not gzip":
        path.with_name(f"{name}.gz").write_bytes(content)
    elif how == "cut gzip":
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(content)[:-20])
    elif how == "broken gzip":
        packed = bytearray(gzip.compress(content))
        packed[len(packed) // 2 : len(packed) // 2 + 8] = b"\xff" * 8
        path.with_name(f"{name}.gz").write_bytes(packed)
    elif how == "magic":
        path.write_bytes(b"\0\0\x08\x02" + content[4:])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "head":
        path.write_bytes(content[:6])
    elif how == "cut":
        path.write_bytes(content[:-1])
    elif how == "longer":
        path.write_bytes(content + b"\0")


@pytest.mark.parametrize(
    ("name", "how", "message"),
    [
        (NAMES[0], "missing", "train-images-idx3-ubyte.gz is missing"),
        (NAMES[3], "missing", "t10k-labels-idx1-ubyte.gz is missing"),
        (NAMES[0], "not gzip", "train-images-idx3-ubyte.gz is unreadable"),
        (NAMES[2], "cut gzip", "t10k-images-idx3-ubyte.gz is unreadable"),
        (NAMES[0], "broken gzip", "train-images-idx3-ubyte.gz is unreadable"),
        (NAMES[0], "magic", "starts with bytes 00000802, expected 00000803"),
        (NAMES[1], "magic", "starts with bytes 00000802, expected 00000801"),
        (NAMES[1], "empty", "starts with bytes , expected 00000801"),
        (NAMES[2], "head", "is truncated: 6 bytes, expected a head of 16"),
        (NAMES[0], "cut", r"has 313615 bytes, expected 313616 for the shape \(400, 28, 28\)"),
        (NAMES[3], "longer", r"has 109 bytes, expected 108 for the shape \(100,\)"),
    ],
)
def test_a_damaged_file_is_named_with_what_was_expected(folder: Path, name: str, how: str, message: str) -> None:
    damage(folder, name, how)
    with pytest.raises(DataError, match=rf"^mnist: .*{message}"):
        Mnist().verify(folder)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.ones((5, 28, 28)), np.arange(4), "5 images and .* 4 labels"),
        (np.ones((0, 28, 28)), np.arange(0), "0 images and .* 0 labels"),
        (np.ones((5, 32, 28)), np.arange(5), "images of 32 x 28, expected 28 x 28"),
        (np.ones((5, 28, 28)), np.arange(6, 11), "the label 10, expected 0 to 9"),
    ],
)
def test_whole_files_that_are_no_labeled_digits_are_refused(
    folder: Path, images: np.ndarray, labels: np.ndarray, message: str
) -> None:
    dataset.write(folder, "test", images, labels)
    with pytest.raises(DataError, match=message):
        Mnist().verify(folder)


def test_an_idx_file_of_other_dimensions_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="expected 00000801"):
        read_idx(folder / "raw" / NAMES[0], 1)


def test_files_with_unknown_digests_are_a_custom_edition(folder: Path) -> None:
    assert Mnist().verify(folder) is None
    assert prepare(Mnist(), folder.parent).edition.startswith("custom-")


def test_official_files_are_known_packed_unpacked_and_packed_again(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the miniature's own digests in place of MNIST's."""
    packed = {name: gzip.compress((folder / "raw" / name).read_bytes(), mtime=0) for name in NAMES}
    for name in NAMES:
        unpacked = hashlib.md5((folder / "raw" / name).read_bytes()).hexdigest()
        monkeypatch.setitem(OFFICIAL, name, Digests(hashlib.md5(packed[name]).hexdigest(), unpacked))
    assert Mnist().verify(folder) == "md5 of 4 files"
    pack(folder)
    assert Mnist().verify(folder) == "md5 of 4 files"
    for name in NAMES:
        (folder / "raw" / f"{name}.gz").write_bytes(packed[name])
    assert prepare(Mnist(), folder.parent).edition == "official"
    monkeypatch.setitem(OFFICIAL, NAMES[3], Digests("0", "0"))
    assert Mnist().verify(folder) is None


def test_the_miniature_is_small_balanced_and_the_same_each_time(tmp_path: Path) -> None:
    made = [build(Mnist(), tmp_path / name, "miniature") for name in "ab"]
    assert made[0] == made[1]
    assert made[0].edition == "miniature-1"
    listed = [(tmp_path / name / "mnist" / FILES).read_text() for name in "ab"]
    assert listed[0] == listed[1]
    for split, count in (("train", 40), ("test", 10)):
        _, labels = read(tmp_path / "a" / "mnist", split)
        assert np.bincount(labels).tolist() == [count] * 10


def test_the_miniature_can_be_learned(folder: Path) -> None:
    assert accuracy_of_neighbors(folder) > 0.8


def test_scikit_learns_digits_are_stand_in_1(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standin, "OPENCV", tmp_path / "absent.png")
    assert build(Mnist(), tmp_path, "standin").edition == "standin-1"
    check(Mnist(), tmp_path)
    images, labels = read(tmp_path / "mnist", "train")
    tests, test_labels = read(tmp_path / "mnist", "test")
    assert (len(labels), len(test_labels)) == (1442, 355)
    assert np.bincount(np.concatenate([labels, test_labels])).tolist() == [
        178, 182, 177, 183, 181, 182, 181, 179, 174, 180,
    ]  # fmt: skip
    assert len(np.unique(np.concatenate([images, tests]).reshape(1797, -1), axis=0)) > 1750, "few are alike"
    assert (images == 0).mean((1, 2)).min() > 0.6, "the background must be exactly zero to be colored"
    assert (images > 0).any((1, 2)).all()
    assert accuracy_of_neighbors(tmp_path / "mnist") > 0.9


def test_opencvs_sheet_is_cut_into_its_5000_digits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a sheet of the same layout, every digit of one shade: 5 rows a class, 100 to a row."""
    shades = np.arange(5000).reshape(50, 100) % 250 + 1
    sheet = tmp_path / "digits.png"
    Image.fromarray(np.kron(shades, np.ones((20, 20))).astype(np.uint8)).save(sheet)
    monkeypatch.setattr(standin, "OPENCV", sheet)
    with pytest.raises(DataError, match=r"digits\.png has SHA-256 .* expected 60c917758ef97cc0"):
        build(Mnist(), tmp_path, "standin")
    monkeypatch.setattr(standin, "OPENCV_SHA256", hashlib.sha256(sheet.read_bytes()).hexdigest())
    images, labels, _ = standin.standin()
    assert np.bincount(labels).tolist() == [500] * 10
    np.testing.assert_array_equal(images[:, 4:24, 4:24], np.broadcast_to(shades.reshape(-1, 1, 1), (5000, 20, 20)))
    images[:, 4:24, 4:24] = 0
    assert not images.any()
    build(Mnist(), tmp_path, "standin")
    assert edition(tmp_path, "mnist") not in ("standin-1", "standin-2")
    assert [len(read(tmp_path / "mnist", split)[1]) for split in ("train", "test")] == [4000, 1000]


@pytest.mark.skipif(not standin.OPENCV.is_file(), reason="Debian's opencv-doc is not installed")
def test_opencvs_digits_are_stand_in_2(tmp_path: Path) -> None:
    assert build(Mnist(), tmp_path, "standin").edition == "standin-2"
    assert accuracy_of_neighbors(tmp_path / "mnist") > 0.9


def accuracy_of_neighbors(folder: Path) -> float:
    """Three nearest neighbors on what is left of the digits after binarization."""
    (train, labels), (test, expected) = read(folder, "train"), read(folder, "test")
    known = KNeighborsClassifier(3).fit((train > 0).reshape(len(train), -1), labels)
    return float(known.score((test > 0).reshape(len(test), -1), expected))
