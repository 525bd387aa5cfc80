"""MNIST's files: read as torchvision reads them, proven official by digest, imitated in the same layout."""

from __future__ import annotations

import gzip
import hashlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torchvision
from sklearn.neighbors import KNeighborsClassifier

from optathlon.tasks.cifar.cifar10 import standin as cifar
from optathlon.tasks.data import debian
from optathlon.tasks.data.dataset import FILES, build, check, prepare
from optathlon.tasks.errors import DataError
from optathlon.tasks.rebias.mnist import dataset
from optathlon.tasks.rebias.mnist.dataset import OFFICIAL, Digests, Mnist, read, read_idx
from tests.tasks.packages import packages_or_skip

NAMES = list(OFFICIAL)


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "mnist"
    Mnist().write_miniature(folder)
    return folder


@pytest.fixture
def folder(miniature: Path, tmp_path: Path) -> Path:
    """A folder mnist/ with the four files of the miniature and nothing else."""
    return shutil.copytree(miniature, tmp_path / "mnist", copy_function=shutil.copyfile)


def pack(folder: Path) -> None:
    for name in NAMES:
        path = folder / "raw" / name
        (folder / "raw" / f"{name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
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


@pytest.mark.parametrize("place", ["raw", "", "MNIST/raw"])
@pytest.mark.parametrize("style", ["{}-ubyte", "{}-ubyte.gz", "7-zip"])
def test_files_are_found_where_people_have_them_and_as_7_zip_names_them(folder: Path, place: str, style: str) -> None:
    expected = read(folder, "train")
    (folder / "raw").rename(folder / "was")
    (folder / place).mkdir(parents=True, exist_ok=True)
    for path in (folder / "was").iterdir():
        if style == "7-zip":  # t10k-images-idx3-ubyte.gz unpacks to t10k-images.idx3-ubyte
            (folder / place / path.name.replace("-idx", ".idx")).write_bytes(path.read_bytes())
        elif style.endswith(".gz"):
            (folder / place / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
        else:
            (folder / place / path.name).write_bytes(path.read_bytes())
    shutil.rmtree(folder / "was")
    assert Mnist().verify(folder) is None
    for ours, theirs in zip(read(folder, "train"), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_archives_may_stay_beside_what_they_unpack_to_as_torchvision_leaves_them(folder: Path) -> None:
    expected = read(folder, "train")
    shutil.copytree(folder / "raw", folder / "MNIST" / "raw")
    for path in (folder / "MNIST" / "raw").iterdir():
        (path.parent / f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), 1))
    shutil.rmtree(folder / "raw")
    assert Mnist().verify(folder) is None
    for ours, theirs in zip(read(folder, "train"), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def damage(folder: Path, name: str, how: str) -> None:
    path = folder / "raw" / name
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "not gzip":
        path.with_name(f"{name}.gz").write_bytes(content)
    elif how == "cut gzip":
        path.with_name(f"{name}.gz").write_bytes(gzip.compress(content, 1)[:-20])
    elif how == "broken gzip":
        packed = bytearray(gzip.compress(content, 1))
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


def test_scikit_learns_digits_are_stand_in_1(tmp_path: Path) -> None:
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


@pytest.mark.slow
def test_fashion_mnist_in_mnists_files_is_a_custom_edition_with_grounds_to_color(tmp_path: Path) -> None:
    """As Debian's dataset-fashion-mnist has it: the full-size twin."""
    names = {f"{cifar.FOLDER}/{name}.gz": name for name in NAMES}
    with packages_or_skip():
        contents = debian.files(cifar.FASHION, names)
    (tmp_path / "mnist").mkdir()
    for path, content in contents.items():
        (tmp_path / "mnist" / f"{names[path]}.gz").write_bytes(content)
    assert prepare(Mnist(), tmp_path).edition.startswith("custom-")
    for split, each in (("train", 6000), ("test", 1000)):
        images, labels = read(tmp_path / "mnist", split)
        assert np.bincount(labels).tolist() == [each] * 10
        assert (images == 0).mean() > 0.4


def accuracy_of_neighbors(folder: Path) -> float:
    """Three nearest neighbors on what is left of the digits after binarization."""
    (train, labels), (test, expected) = read(folder, "train"), read(folder, "test")
    known = KNeighborsClassifier(3).fit((train > 0).reshape(len(train), -1), labels)
    return float(known.score((test > 0).reshape(len(test), -1), expected))
