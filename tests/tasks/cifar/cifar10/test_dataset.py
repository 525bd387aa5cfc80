"""CIFAR-10's files: read as torchvision reads them, proven official by digest, and never run."""

from __future__ import annotations

import hashlib
import os
import pickle
import resource
import shutil
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision

from optathlon.tasks.cifar.cifar10 import dataset, layout, standin
from optathlon.tasks.cifar.cifar10.dataset import Cifar10, find
from optathlon.tasks.cifar.cifar10.layout import BATCHES, NAMES, TREE, read
from optathlon.tasks.data import debian
from optathlon.tasks.data.dataset import FILES, build, prepare
from optathlon.tasks.errors import DataError
from tests.tasks.packages import packages_or_skip

FILE_NAMES = [name for names in BATCHES.values() for name in names]


@pytest.fixture(scope="module")
def miniature(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("miniature")
    Cifar10().write_miniature(folder)
    return folder


@pytest.fixture
def folder(miniature: Path, tmp_path: Path) -> Path:
    """A folder cifar10/ with the six batches of the miniature and nothing else."""
    return Path(shutil.copytree(miniature, tmp_path / "cifar10"))


@pytest.mark.parametrize("train", [True, False])
def test_the_files_are_read_as_torchvision_reads_them(folder: Path, train: bool) -> None:
    digests = [[name, digest(folder / TREE / name)] for name in FILE_NAMES]

    class Theirs(torchvision.datasets.CIFAR10):
        train_list, test_list = digests[:5], digests[5:]
        meta = {"filename": layout.META, "key": "label_names", "md5": digest(folder / TREE / layout.META)}  # noqa: RUF012

    theirs = Theirs(str(folder), train=train, download=False)
    images, labels = read(folder / TREE, "train" if train else "test")
    np.testing.assert_array_equal(images.transpose(0, 2, 3, 1), theirs.data)
    assert labels.tolist() == theirs.targets
    assert theirs.classes == list(NAMES)


def digest(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def python_2_batch(data: np.ndarray, labels: list[int], dtype: bytes = b"u1") -> bytes:
    """A batch as Python 2 and the NumPy of 2009 pickled it, which the official files are: byte strings throughout."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<I", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    kind = b"cnumpy\ndtype\n(" + text(dtype) + number(0) + number(1) + b"tR"
    kind += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) + number(-1) + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(" + number(0) + b"t" + text(b"b") + b"tR"
    shape = b"(" + b"".join(map(number, data.shape)) + b"t"
    array += b"(" + number(1) + shape + kind + b"\x89" + text(data.tobytes()) + b"tb"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + b"](" + b"".join(map(number, labels)) + b"eu."


def test_what_python_2_wrote_is_read(tmp_path: Path) -> None:
    data = np.arange(3 * layout.PIXELS, dtype=np.int64).astype(np.uint8).reshape(3, -1)
    (tmp_path / "test_batch").write_bytes(python_2_batch(data, [9, 0, 4]))
    np.testing.assert_array_equal(pickle.loads(python_2_batch(data, [9, 0, 4]), encoding="latin1")["data"], data)
    images, labels = read(tmp_path, "test")
    np.testing.assert_array_equal(images.reshape(3, -1), data)
    assert labels.tolist() == [9, 0, 4]


class Evil:
    """Makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_that_would_run_something_is_refused_and_does_not_run(folder: Path, protocol: int) -> None:
    made = folder / "made"
    content = pickle.dumps({"data": Evil(made), "labels": [1]}, protocol=protocol)
    (folder / TREE / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_2 is no whole CIFAR-10 batch \(it asks for posix\.mkdir"):
        Cifar10().verify(folder)
    assert not made.exists()


STATE = b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cbuiltins\neval\n(U\x011tR.", r"asks for builtins\.eval"),
        (b"c_codecs\nencode\n(X\x01\0\0\0aX\x03\0\0\0hextR.", r"bytes in the encoding 'hex'"),
        (b"cnumpy.core.multiarray\n_reconstruct\nN}U\x08__code__Ns\x86b.", "changes a function"),
        (b"cnumpy\ndtype\n(U\x02O8K\0K\1tR.", r"an array of 'O8', expected bytes"),
        (b"cnumpy\ndtype\n(U\x02f8K\0K\1tR" + STATE + b".", r"an array of 'f8', expected bytes"),
        (b"cnumpy\ndtype.__class__\n.", r"asks for numpy\.dtype\.__class__"),
        (b"Pout\n.", "refers to something outside"),
    ],
)
def test_what_images_have_no_use_for_is_refused(folder: Path, content: bytes, message: str) -> None:
    (folder / TREE / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match=rf"test_batch is no whole CIFAR-10 batch \(it .*{message}"):
        Cifar10().verify(folder)


def test_an_array_of_any_announced_size_takes_no_memory(tmp_path: Path) -> None:
    content = python_2_batch(np.zeros((1, 5), np.uint8), [1])
    content = content.replace(b"J" + struct.pack("<i", 5), b"J" + struct.pack("<i", 2**30))
    (tmp_path / "test_batch").write_bytes(content)
    with pytest.raises(DataError, match="cannot reshape array of size 5"):
        read(tmp_path, "test")


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "cut":
        path.write_bytes(content[:-1000])
    elif how == "text":
        path.write_text("<html>404</html>")
    elif how == "archive":
        path.write_bytes(b"\x1f\x8b" + content)
    elif how == "folder":
        path.unlink()
        path.mkdir()


@pytest.mark.parametrize("name", ["data_batch_5", "test_batch"])
@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "cannot be read"),
        ("empty", "is no whole CIFAR-10 batch"),
        ("cut", "is no whole CIFAR-10 batch"),
        ("text", "is no whole CIFAR-10 batch"),
        ("archive", "is no whole CIFAR-10 batch"),
        ("folder", "cannot be read"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, how: str, message: str) -> None:
    damage(folder / TREE / name, how)
    with pytest.raises(DataError, match=rf"^cifar10: .*{name} {message}.*; fetch it again"):
        Cifar10().verify(folder)


ROWS = np.zeros((2, layout.PIXELS), np.uint8)


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ([ROWS], "holds no dictionary of data and labels"),
        ({"data": ROWS}, "holds no dictionary of data and labels"),
        ({"data": ROWS, "labels": [1]}, "holds 2 images and 1 labels; expected as many, and some"),
        ({"data": ROWS[:0], "labels": []}, "holds 0 images and 0 labels; expected as many, and some"),
        ({"data": ROWS, "labels": 7}, "holds 2 images and no list of labels"),
        ({"data": ROWS, "labels": [0, 10]}, "holds the label 10, expected 0 to 9"),
        ({"data": ROWS, "labels": [0, -1]}, "holds the label -1, expected 0 to 9"),
        ({"data": ROWS, "labels": [0, 1.0]}, r"holds the label 1\.0, expected 0 to 9"),
        (
            {"data": ROWS[:, :-1], "labels": [0, 1]},
            r"data is of shape \(2, 3071\), expected bytes of shape \(n, 3072\)",
        ),
        ({"data": ROWS[0], "labels": [0, 1]}, r"data is of shape \(3072,\)"),
        ({"data": "pixels", "labels": [0, 1]}, "data is no array of bytes"),
    ],
)
def test_whole_pickles_that_are_no_batches_are_refused(folder: Path, batch: Any, message: str) -> None:
    (folder / TREE / "data_batch_1").write_bytes(pickle.dumps(batch, protocol=4))
    with pytest.raises(DataError, match=rf"data_batch_1:? {message}"):
        Cifar10().verify(folder)


def test_a_number_in_a_small_pickle_takes_no_memory(folder: Path) -> None:
    """The place in its memo that a pickle names; Python's unpickler in C makes room for all places before it."""
    memo = 0x0FFF_FFFF
    (folder / TREE / "data_batch_1").write_bytes(b"\x80\x02Nr" + memo.to_bytes(4, "little") + b".")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="holds no dictionary of data and labels"):
        Cifar10().verify(folder)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + (1 << 20), "no more than 1 GB"


def test_the_batches_may_lie_in_the_folder_itself(folder: Path) -> None:
    for path in (folder / TREE).iterdir():
        path.rename(folder / path.name)
    (folder / TREE).rmdir()
    assert find(folder) == folder
    assert prepare(Cifar10(), folder.parent).edition.startswith("custom-")


def test_without_batches_the_layout_is_named(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"no data_batch_1 in .*cifar-10-batches-py or .*; expected the official layout"
    ):
        Cifar10().verify(tmp_path)


def test_the_archive_is_unpacked_if_it_is_the_official_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the miniature's own digests in place of CIFAR-10's."""
    archive = folder / dataset.ARCHIVE
    with tarfile.open(archive, "w:gz") as tar:
        tar.add(folder / TREE, TREE)
    shutil.rmtree(folder / TREE)
    with pytest.raises(
        DataError, match=r"cifar-10-python\.tar\.gz has MD5 .*, expected c58f30108f718f92721af3b95e74349a"
    ):
        Cifar10().verify(folder)
    monkeypatch.setattr(dataset, "ARCHIVE_MD5", digest(archive))
    assert Cifar10().verify(folder) is None
    for name in FILE_NAMES:
        monkeypatch.setitem(dataset.MD5, name, digest(folder / TREE / name))
    assert prepare(Cifar10(), folder.parent).edition == "official"


def test_the_miniature_is_small_balanced_and_the_same_each_time(tmp_path: Path) -> None:
    made = [build(Cifar10(), tmp_path / name, "miniature") for name in "ab"]
    assert made[0] == made[1]
    assert made[0].edition == "miniature-1"
    assert (tmp_path / "a/cifar10" / FILES).read_text() == (tmp_path / "b/cifar10" / FILES).read_text()
    for split, count in (("train", 60), ("test", 20)):
        _, labels = read(tmp_path / "a" / "cifar10" / TREE, split)
        assert np.bincount(labels).tolist() == [count] * 10


def test_the_miniatures_pickles_are_those_of_any_numpy(folder: Path) -> None:
    content = (folder / TREE / "test_batch").read_bytes()
    assert b"numpy.core.multiarray" in content
    assert b"_core" not in content


@pytest.mark.slow
def test_fashion_mnist_is_the_stand_in(tmp_path: Path) -> None:
    with packages_or_skip():
        debian.files(standin.FASHION, [])
    assert build(Cifar10(), tmp_path, "standin").edition == "standin-1"
    for split, each in (("train", 50_000), ("test", 10_000)):
        images, labels = read(tmp_path / "cifar10" / TREE, split)
        assert images.shape == (each, 3, 32, 32)
        assert np.bincount(labels).min() > each * 0.098
        assert (images[:, 0] == images[:, 2]).all()
        assert not images[:, :, [0, 1, 30, 31]].any()
    gray = images[:, 0, 2:-2, 2:-2]
    assert gray.mean() / 255 == pytest.approx(0.286, abs=0.005), "Fashion-MNIST's"
