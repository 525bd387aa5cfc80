"""Every layout in which a site has ImageNet gives the same photos in the same order; broken ones are named."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from torchvision.datasets import ImageFolder

from optathlon import tasks
from optathlon.tasks.data import dataset as data
from optathlon.tasks.data import places
from optathlon.tasks.data.dataset import prepare
from optathlon.tasks.errors import DataError
from optathlon.tasks.imagenet.ilsvrc2012 import dataset as ilsvrc
from optathlon.tasks.imagenet.ilsvrc2012 import devkit, hub, official
from optathlon.tasks.imagenet.ilsvrc2012.layout import read
from optathlon.tasks.imagenet.ilsvrc2012.miniature import wnid
from optathlon.tasks.imagenet.references import references
from optathlon.tasks.registry import resolve
from tests.tasks.imagenet.trees import contents, flatten, photo, write, write_kit


def test_the_order_is_imagefolders(folder) -> None:
    photos = read(folder)
    for part, name in ((photos.train, "train"), (photos.val, "val")):
        theirs = ImageFolder(str(folder / name))
        assert [(str(p.path), p.label) for p in part] == theirs.samples
        assert list(photos.classes) == theirs.classes
    assert photos.counts == (12, 6, 3)


def test_photos_in_folders_of_folders_are_found_in_imagefolders_order(folder) -> None:
    for place in ("images", "images/more"):
        write(folder / "train" / wnid(0) / place / "one.png", 1)
    assert [str(p.path) for p in read(folder).train] == [s[0] for s in ImageFolder(str(folder / "train")).samples]


def test_what_systems_leave_behind_is_passed_over(folder) -> None:
    before = contents(read(folder))
    (folder / "train" / ".DS_Store").write_bytes(b"x")
    (folder / "train" / ".thumbnails").mkdir()
    for name in ("._n01440764_0.JPEG", ".DS_Store", "Thumbs.db", "readme.txt"):
        (folder / "train" / wnid(0) / name).write_bytes(b"x")
    (folder / "train" / wnid(1) / ".hidden").mkdir()
    write(folder / "train" / wnid(1) / ".hidden/n01440765_9.JPEG", 1)
    assert contents(read(folder)) == before


def test_a_site_s_folders_are_read_where_they_are_through_links(folder, tmp_path) -> None:
    site = tmp_path / "site"
    folder.rename(site)
    folder.mkdir()
    for part in ("train", "val"):
        (folder / part).symlink_to(site / part)
    site.chmod(0o555)
    assert prepare(tasks.dataset("imagenet"), tmp_path).files == 18
    site.chmod(0o755)
    assert sorted(p.name for p in site.iterdir()) == ["train", "val"]


@pytest.mark.parametrize("ends", ["", "bom", "windows"])
def test_validation_photos_without_folders_are_labelled_by_the_development_kit(folder, ends) -> None:
    before = contents(read(folder))
    flatten(folder)
    truth = write_kit(folder) / devkit.TRUTH
    lines = truth.read_bytes()
    truth.write_bytes({"": lines, "bom": b"\xef\xbb\xbf" + lines, "windows": lines.replace(b"\n", b"\r\n")}[ends])
    assert contents(read(folder)) == before


def pack(members: dict[str, bytes], mode: str = "w") -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def archives(folder, monkeypatch) -> Path:
    """The three official archives of what was in the folder, with their digests as the official ones."""
    classes = {path.name: {p.name: p.read_bytes() for p in path.iterdir()} for path in (folder / "train").iterdir()}
    inner = {f"{name}.tar": pack(photos) for name, photos in classes.items()}
    (folder / official.TRAIN_TAR).write_bytes(pack(inner))
    (folder / official.VAL_TAR).write_bytes(pack({p.name: p.read_bytes() for p in sorted(folder.glob("val/*/*"))}))
    kit = write_kit(folder)
    members = {f"{devkit.FOLDER}/{p.relative_to(kit)}": p.read_bytes() for p in kit.rglob("*") if p.is_file()}
    (folder / official.KIT).write_bytes(pack(members, "w:gz"))
    for tree in ("train", "val", devkit.FOLDER):
        shutil.rmtree(folder / tree)
    digests = {name: md5((folder / name).read_bytes()).hexdigest() for name in official.MD5}
    monkeypatch.setattr(official, "MD5", digests)
    return folder


@pytest.mark.slow
def test_the_official_archives_are_unpacked_to_class_folders(folder, request) -> None:
    before = contents(read(folder))
    archives = request.getfixturevalue("archives")
    made = prepare(tasks.dataset("imagenet"), archives.parent)
    assert contents(read(archives)) == before
    assert made.edition.startswith("custom-")
    prepare(tasks.dataset("imagenet"), archives.parent)  # again, with the trees there
    assert not [*archives.glob(".unpacking-*")]


def test_archives_in_a_folder_that_cannot_be_written_to_are_unpacked_below_the_cache(archives, tmp_path, monkeypatch):
    """And are trained on, and their references computed, from there."""
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(places, "is_writable", lambda folder: folder.is_relative_to(tmp_path / "cache"))
    prepare(tasks.dataset("imagenet"), archives.parent)
    assert not (archives / "train").exists()
    settings = {"classes": 0, "crop": 32, "resize": 36, "width": 0.1}
    protocol = tasks.task("imagenet-resnet18").protocol("smoke").override({"batch": 4, "settings": settings})
    live = resolve(tasks.task("imagenet-resnet18").workload)(protocol, archives.parent)
    assert len(next(live.batches(0)).data.labels) == 4
    assert references(protocol, archives.parent)["majority"]["test/accuracy"] == pytest.approx(100 / 3)


def test_official_counts_and_digests_prove_the_edition(archives, monkeypatch) -> None:
    monkeypatch.setattr(ilsvrc, "COUNTS", (12, 6, 3))
    made = prepare(tasks.dataset("imagenet"), archives.parent)
    assert made.edition == "official"
    assert "MD5 of ILSVRC2012_img_train.tar" in made.verified
    assert "counts of photos and classes" in made.verified


def test_validation_photos_in_the_wrong_folders_are_named(folder, monkeypatch) -> None:
    monkeypatch.setattr(ilsvrc, "COUNTS", (12, 6, 3))
    (folder / "val" / wnid(0) / photo(1)).rename(folder / "val" / wnid(1) / photo(1))
    with pytest.raises(DataError, match=r"class n01440764 has 1 photos, expected 2; are validation photos in"):
        prepare(tasks.dataset("imagenet"), folder.parent)


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-700])


def missing_kit(folder: Path) -> None:
    (folder / official.KIT).unlink()


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda f: damage(f / official.TRAIN_TAR), r"img_train\.tar has MD5 .*, expected .*: fetch it again"),
    "kit damaged": (lambda f: damage(f / official.KIT), r"devkit_t12\.tar\.gz has MD5"),
    "no kit": (missing_kit, r"ILSVRC2012_img_val\.tar needs ILSVRC2012_devkit_t12\.tar\.gz beside it"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_broken_archives_are_named_and_leave_nothing(archives, kind) -> None:
    spoil, message = BROKEN[kind]
    spoil(archives)
    with pytest.raises(DataError, match=message):
        prepare(tasks.dataset("imagenet"), archives.parent)
    assert not (archives / "val").exists()
    assert not [*archives.glob(".unpacking-*")]


def test_two_copies_are_not_chosen_between(folder) -> None:
    shutil.copytree(folder / "train", folder / "ILSVRC/Data/CLS-LOC/train")
    with pytest.raises(DataError, match=r"two copies of the data, .*/imagenet/train and .*CLS-LOC/train"):
        read(folder)


def to_parquet(folder: Path) -> None:
    """As the hub's ILSVRC/imagenet-1k: rows in no order, several files, names that end with the synset."""
    photos = read(folder)
    (folder / "data").mkdir()
    for part, split in ((photos.train, "train"), (photos.val, "validation")):
        rows = [
            {
                "image": {"bytes": p.path.read_bytes(), "path": f"{p.path.stem}_{photos.classes[p.label]}.JPEG"},
                "label": p.label,
            }
            for p in reversed(part)
        ]
        for part in range(2):
            table = pa.Table.from_pylist(rows[part::2])
            pq.write_table(table, folder / f"data/{split}-{part:05}-of-00002.parquet")
    for tree in ("train", "val"):
        shutil.rmtree(folder / tree)


def test_the_hubs_parquet_files_give_the_same_index(folder) -> None:
    before = contents(read(folder))
    to_parquet(folder)
    prepare(tasks.dataset("imagenet"), folder.parent)
    assert contents(read(folder)) == before


def test_parquet_files_that_are_broken_or_ordered_otherwise_are_named(folder) -> None:
    to_parquet(folder)
    path = folder / "data/train-00001-of-00002.parquet"
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    with pytest.raises(DataError, match=r"train-00001-of-00002\.parquet cannot be read"):
        prepare(tasks.dataset("imagenet"), folder.parent)
    rows = pq.read_table(io.BytesIO(whole)).to_pylist()
    for row, message in (
        ({"image": {"bytes": b"x", "path": "a.JPEG"}, "label": 77}, r"row 0: expected a photo's bytes and a path with"),
        (rows[0] | {"label": (rows[0]["label"] + 1) % 3}, r"has label \d, which is of n0144076"),
    ):
        pq.write_table(pa.Table.from_pylist([row]), path)
        with pytest.raises(DataError, match=message):
            prepare(tasks.dataset("imagenet"), folder.parent)
    pq.write_table(pa.Table.from_pylist([r | {"label": 7 - r["label"]} for r in rows]), path)
    with pytest.raises(DataError, match=r"which is of|in the order of the synsets"):
        hub.unpack(folder)
    assert not (folder / "train").exists()


def empty_class(folder: Path) -> None:
    (folder / "train" / "n09999999").mkdir()


def lost_class(folder: Path) -> None:
    shutil.rmtree(folder / "val" / wnid(2))


def short_truth(folder: Path) -> None:
    flatten(folder)
    truth = write_kit(folder) / devkit.TRUTH
    truth.write_text("\n".join(truth.read_text().splitlines()[:-1]))


def strange_truth(folder: Path) -> None:
    flatten(folder)
    (write_kit(folder) / devkit.TRUTH).write_text("9\n" * 6)


def strange_name(folder: Path) -> None:
    flatten(folder)
    write_kit(folder)
    (folder / "val" / photo(1)).rename(folder / "val/cat.JPEG")


def broken_meta(folder: Path) -> None:
    flatten(folder)
    (write_kit(folder) / devkit.META).write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))


def truncated(folder: Path) -> None:
    path = folder / "val" / wnid(1) / photo(2)
    path.write_bytes(path.read_bytes()[:-40])


def nothing_in_it(folder: Path) -> None:
    (folder / "train" / wnid(2) / f"{wnid(2)}_3.JPEG").write_bytes(b"")


def no_photo(folder: Path) -> None:
    (folder / "train" / wnid(0) / "n01440764_1.JPEG").write_text("<html>not found</html>")


SPOILED: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty class": (empty_class, r"class 'n09999999' is in .*train, but not in .*val|n09999999 has no photos"),
    "lost class": (lost_class, r"class 'n01440766' is in .*/train, but not in .*/val"),
    "no val": (lambda f: shutil.rmtree(f / "val"), r"there is no folder .*/val"),
    "flat without kit": (
        flatten,
        r"val has no class folders, and in .* is neither ILSVRC2012_devkit_t12 nor LOC_val_",
    ),
    "short truth": (short_truth, r"ground_truth\.txt has 5 labels, but there are 6 photos"),
    "strange truth": (strange_truth, r"class 9 is not in .*meta\.mat, which has 3"),
    "strange name": (strange_name, r"but there is 'cat\.JPEG'"),
    "broken meta": (broken_meta, r"meta\.mat(:| is not a readable MATLAB file)"),
    "truncated": (truncated, r"ILSVRC2012_val_00000002\.JPEG is not a whole image"),
    "zero bytes": (nothing_in_it, r"n01440766_3\.JPEG is not a whole image"),
    "no photo": (no_photo, r"n01440764_1\.JPEG is not a whole image"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_broken_trees_are_named(folder, kind) -> None:
    spoil, message = SPOILED[kind]
    spoil(folder)
    with pytest.raises(DataError, match=message):
        prepare(tasks.dataset("imagenet"), folder.parent)
    assert data.manifest(folder.parent, "imagenet") is None


def test_a_class_without_photos_in_both_splits_is_named(folder) -> None:
    for part in ("train", "val"):
        (folder / part / "n09999999").mkdir()
    with pytest.raises(DataError, match=r"class folder .*train/n09999999 has no photos"):
        read(folder)


def test_the_miniature_has_the_official_oddities(miniature) -> None:
    """One PNG named .JPEG, one photo in CMYK, one gray, as some of the official ones are."""
    photos = read(miniature / "imagenet")
    assert photos.counts == (800, 200, 20)
    kinds = []
    for entry in photos.train[:3]:
        with Image.open(entry.path) as image:
            kinds.append((image.format, image.mode))
    assert kinds == [("PNG", "RGB"), ("JPEG", "CMYK"), ("JPEG", "L")]
    assert [s[0] for s in ImageFolder(str(miniature / "imagenet/train")).samples] == [str(p.path) for p in photos.train]
