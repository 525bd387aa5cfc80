"""The four official layouts: splits as published, imitations in the same layout, and files that are broken."""

from __future__ import annotations

import os
import shutil
import signal
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import loadmat, savemat

from optathlon import tasks
from optathlon.tasks.data import matlab
from optathlon.tasks.data.dataset import build, prepare
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.shapes import classes
from optathlon.tasks.retrieval import DATASETS
from optathlon.tasks.retrieval.datasets import cars, cub, inshop, photo_lists, sop
from tests.miniatures import put_miniatures

MODULES = {"cub": cub, "cars": cars, "inshop": inshop, "sop": sop}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, *DATASETS)
    return root


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four layouts with as few photos as they allow."""
    root = tmp_path_factory.mktemp("tiny")
    cub.write(root / "cub", classes("cub", 200, 1))
    cars.write(root / "cars", classes("cars", 196, 1))
    drawn = classes("sop", 6, 4)
    inshop.write(root / "inshop", drawn[:3], drawn[3:], {"1", "3"})
    sop.write(root / "sop", drawn[:3], drawn[3:])
    return root


SURVIVE = matlab.survive


@pytest.fixture(autouse=True)
def annotations_are_tried_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """And not in a process of their own (tests/tasks/data/test_matlab.py), which takes a third of a second."""
    monkeypatch.setattr(matlab, "survive", lambda path, struct: matlab._try(path, struct))


@pytest.fixture
def copy(tiny: Path, tmp_path: Path):
    """copy(name): a data folder with a copy of that data set's tree, as a user would put it there."""

    def copied(name: str) -> Path:
        tree = MODULES[name].TREE
        shutil.copytree(tiny / name / tree, tmp_path / name / tree)
        return tmp_path

    return copied


def write_lines(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def test_the_published_counts() -> None:
    assert cub.COUNTS == (5864, 5924, 100, 100)
    assert sum(cub.COUNTS[:2]) == 11_788
    assert cars.COUNTS == (8054, 8131, 98, 98)
    assert sum(cars.COUNTS[:2]) == 16_185
    assert inshop.COUNTS == (25_882, 14_218, 12_612, 3997, 3985)
    assert sum(inshop.COUNTS[:3]) == 52_712
    assert sum(inshop.COUNTS[3:]) == 7982  # AdamP, table E.1
    assert sop.COUNTS == (59_551, 60_502, 11_318, 11_316)
    assert sum(sop.COUNTS[:2]) == 120_053
    assert sum(sop.COUNTS[2:]) == 22_634  # AdamP, table E.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("cub", (600, 600, 100, 100)),
        ("cars", (588, 588, 98, 98)),
        ("inshop", (480, 240, 240, 80, 80)),
        ("sop", (480, 480, 80, 80)),
    ],
)
def test_the_miniatures_have_the_published_split_of_classes(root, name, counts) -> None:
    splits = MODULES[name].read(root / name)
    assert splits.counts == counts
    tested = {p.label for p in splits.query}
    assert not {p.label for p in splits.train} & tested
    assert splits.gallery is None or {p.label for p in splits.gallery} == tested
    assert (splits.gallery is not None) == (name == "inshop")
    assert open_photo(splits.train[7].path).size == (40, 40)


@pytest.mark.slow
@pytest.mark.parametrize("name", DATASETS)
def test_a_miniature_is_the_same_on_every_build(root, name, tmp_path) -> None:
    build(tasks.dataset(name), tmp_path, "miniature")
    assert (tmp_path / name / "files.tsv").read_text() == (root / name / "files.tsv").read_text()


def test_cub_trains_on_classes_1_to_100_by_its_text_files(tmp_path) -> None:
    tree = tmp_path / "CUB_200_2011"
    write_lines(tree / "images.txt", *(f"{i} {i:03}.Bird/a_{i}.jpg" for i in range(1, 201)))
    write_lines(tree / "image_class_labels.txt", *(f"{i} {i}" for i in range(200, 0, -1)))
    write_lines(tree / "train_test_split.txt", *(f"{i} {i % 2}" for i in range(1, 201)))  # of classification: not used
    splits = cub.read(tmp_path)
    assert [p.label for p in splits.train] == [*range(1, 101)]
    assert [p.label for p in splits.query] == [*range(101, 201)]
    assert splits.train[4].path == tree / "images/005.Bird/a_5.jpg"


def test_cars_trains_on_classes_1_to_98_whatever_the_test_flag_says(tmp_path) -> None:
    fields = [(field, object) for field in cars.FIELDS]
    records = [(f"car_ims/{i:06}.jpg", 5, 6, 7, 8, (i * 97) % 196 + 1, i % 2) for i in range(1, 393)]
    savemat(tmp_path / "cars_annos.mat", {"annotations": np.array(records, dtype=fields)[None]})
    splits = cars.read(tmp_path)
    assert splits.counts == (196, 196, 98, 98)
    assert {p.label for p in splits.train} == {*range(1, 99)}
    assert splits.train[0].path.parent == tmp_path / "car_ims"


def test_inshop_goes_by_its_list(tmp_path) -> None:
    write_lines(
        tmp_path / "Eval/list_eval_partition.txt",
        "4",
        "image_name item_id evaluation_status",
        "img/MEN/Denim/id_00000080/01_1_front.jpg                id_00000080     train",
        "img/WOMEN/Tees/id_00000002/02_1_front.jpg               id_00000002     query",
        "img/WOMEN/Tees/id_00000002/02_2_side.jpg                id_00000002     gallery",
        "img/WOMEN/Tees/id_00000007/02_1_front.jpg               id_00000007     gallery",
    )
    splits = inshop.read(tmp_path)
    assert [[p.label for p in part] for part in splits if part is not None] == [[80], [2], [2, 7]]
    assert splits.train[0].path == tmp_path / "Img/img/MEN/Denim/id_00000080/01_1_front.jpg"


def test_sop_takes_class_ids_from_its_text_files(tmp_path) -> None:
    head = "image_id class_id super_class_id path"
    write_lines(
        tmp_path / "Ebay_train.txt", head, "1 1 1 bicycle_final/111_0.JPG", "2 11318 12 toaster_final/222_0.JPG"
    )
    write_lines(tmp_path / "Ebay_test.txt", head, "59552 11319 1 bicycle_final/333_0.JPG")
    splits = sop.read(tmp_path)
    assert [p.label for p in splits.train] == [1, 11318]
    assert splits.query == [(tmp_path / "bicycle_final/333_0.JPG", 11319)]
    assert splits.gallery is None


@pytest.mark.parametrize("name", DATASETS)
def test_files_in_the_official_layout_that_are_not_official_are_custom(copy, name) -> None:
    made = prepare(tasks.dataset(name), copy(name))
    assert made.edition.startswith("custom-")


@pytest.mark.parametrize("name", DATASETS)
def test_the_tree_may_also_lie_in_the_folder_itself(copy, name) -> None:
    root = copy(name)
    for path in (root / name / MODULES[name].TREE).iterdir():
        path.rename(root / name / path.name)
    assert prepare(tasks.dataset(name), root).edition.startswith("custom-")


def damaged(root: Path, name: str, how: str) -> Path:
    path = MODULES[name].read(root / name).query[3].path
    content = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes({"empty": b"", "truncated": content[: len(content) // 2], "text": b"not a photo"}[how])
    return path


@pytest.mark.parametrize(
    ("name", "how"), [*((name, "truncated") for name in DATASETS), *(("sop", h) for h in ("missing", "empty", "text"))]
)
def test_a_damaged_photo_is_named(copy, name, how) -> None:
    root = copy(name)
    path = damaged(root, name, how)
    with pytest.raises(DataError, match=r"cannot be read|is not a whole image") as caught:
        prepare(tasks.dataset(name), root)
    assert str(path) in str(caught.value)
    assert not (root / name / "manifest.json").exists()


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "message"),
    [
        ("cub", "image_class_labels.txt", "\n7 7\n", "\n7 x\n", r"image_class_labels.txt, line 7: class 'x' is not a"),
        ("cub", "image_class_labels.txt", "\n7 7\n", "\n7 201\n", r"line 7: class 201 is above 200"),
        ("cub", "image_class_labels.txt", "\n7 7\n", "\n", r"images.txt, line 7: image 7 has no class"),
        ("cub", "image_class_labels.txt", "\n7 7\n", "\n7 7\n6 7\n", r"line 8: image 6 has a class already"),
        ("cub", "image_class_labels.txt", "\n7 7\n", f"\n7 {'9' * 900}\n", r"line 7: class '9+' is not a positive"),
        ("cub", "image_class_labels.txt", "\n7 7\n", "\n7 7\n999 7\n", r"images.txt: image 999, which has a class, is"),
        ("cub", "images.txt", "\n7 ", "\n6 ", r"line 7: image 6 has no class .*, or is a second"),
        ("cub", "images.txt", "\n7 ", "\n7 a ", r"images.txt, line 7: .* has 3 words; expected image_id image_name"),
        ("cub", "images.txt", "\n7 ", "\n7 ../../", r"line 7: .* is not a path below"),
        ("inshop", inshop.LIST, "24\n", "25\n", r"line 1 says '25', but 24 photos are listed"),
        ("inshop", inshop.LIST, "gallery", "galery", r"evaluation status 'galery' is none of train, query, gallery"),
        ("inshop", inshop.LIST, "id_00000004 query", "id_00000001 query", r"class 1 has photos in training and in the"),
        ("sop", "Ebay_test.txt", "super_class_id", "super", r"Ebay_test.txt, line 1: expected image_id class_id"),
        ("sop", "Ebay_test.txt", "\n17 5 ", "\n17 0 ", r"Ebay_test.txt, line 6: class '0' is not a positive number"),
    ],
)
def test_a_broken_list_is_named_with_its_line(copy, name, file, old, new, message) -> None:
    root = copy(name)
    path = root / name / MODULES[name].TREE / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        prepare(tasks.dataset(name), root)


def test_a_photo_listed_twice_is_named(copy) -> None:
    root = copy("sop")
    path = root / "sop" / sop.TREE / "Ebay_test.txt"
    lines = path.read_text().splitlines()
    write_lines(path, *lines, lines[5])
    with pytest.raises(DataError, match=rf"Ebay_test.txt, line {len(lines) + 1}: .* is listed twice"):
        prepare(tasks.dataset("sop"), root)


@pytest.mark.parametrize("content", [b"", b"MATLAB 5.0 MAT-file" + bytes(200)])
def test_annotations_that_are_no_matlab_file_are_named(copy, content) -> None:
    root = copy("cars")
    (root / "cars" / cars.TREE / cars.ANNOTATIONS).write_bytes(content)
    with pytest.raises(DataError, match=r"cars_annos\.mat(:| is not a readable MATLAB file)"):
        prepare(tasks.dataset("cars"), root)


def test_annotations_that_crash_the_reader_are_named(copy, monkeypatch) -> None:
    root = copy("cars")
    monkeypatch.setattr(matlab, "survive", SURVIVE)
    monkeypatch.setattr(matlab, "_try", _crash)
    with pytest.raises(DataError, match=r"cars_annos\.mat is not a readable MATLAB file .*; fetch it again"):
        prepare(tasks.dataset("cars"), root)


def _crash(_: Path, struct: str) -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


@pytest.mark.parametrize("name", ["cub", "inshop", "sop"])
def test_lists_may_begin_with_a_byte_order_mark_and_end_their_lines_as_on_windows(copy, name) -> None:
    root = copy(name)
    before = MODULES[name].read(root / name)
    for path in (root / name).rglob("*.txt"):
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    assert MODULES[name].read(root / name) == before


def test_annotations_without_classes_or_with_classes_that_there_are_not_are_named(copy) -> None:
    root = copy("cars")
    path = root / "cars" / cars.TREE / cars.ANNOTATIONS
    savemat(path, {"annotations": np.array([("a.jpg",)], dtype=[("relative_im_path", object)])})
    with pytest.raises(DataError, match="the struct annotations has no field class"):
        prepare(tasks.dataset("cars"), root)
    savemat(path, {"annotations": np.array([("a.jpg", 197)], dtype=[("relative_im_path", object), ("class", object)])})
    with pytest.raises(DataError, match=r"annotation 1: class .*197.* is not in 1 to 196"):
        prepare(tasks.dataset("cars"), root)


def test_cars_are_written_with_the_official_fields(tiny) -> None:
    found = loadmat(tiny / "cars" / cars.TREE / cars.ANNOTATIONS, squeeze_me=True)
    assert found["annotations"].dtype.names == cars.FIELDS
    assert len(found["class_names"]) == 196
    assert found["annotations"][0]["relative_im_path"] == "car_ims/000001.jpg"


@pytest.mark.parametrize("name", DATASETS)
def test_nothing_there_says_what_was_expected(tmp_path, name) -> None:
    (tmp_path / name).mkdir()
    with pytest.raises(DataError, match="expected the official layout"):
        prepare(tasks.dataset(name), tmp_path)


def test_a_photo_in_gray_or_with_a_palette_becomes_rgb(tmp_path) -> None:
    for mode, file in (("L", "gray.jpg"), ("P", "palette.png"), ("CMYK", "print.jpg"), ("RGBA", "clear.png")):
        Image.new(mode, (5, 4)).save(tmp_path / file)
        assert open_photo(tmp_path / file).mode == "RGB"


def packed(name: str, root: Path) -> Path:
    """The tree as its official archive would have it, and nothing else."""
    module, folder = MODULES[name], root / name
    tree = folder / module.TREE
    inside = {"cub": tree, "sop": tree, "cars": tree / "car_ims", "inshop": tree / "Img/img"}[name]
    archive = (tree if name in ("cars", "inshop") else folder) / module.ARCHIVE
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "w") as file:
            for path in sorted(inside.rglob("*")):
                file.write(path, path.relative_to(inside.parent))
    else:
        with tarfile.open(archive, "w:gz") as file:
            file.add(inside, inside.name)
    shutil.rmtree(inside)
    return archive


@pytest.mark.parametrize("name", DATASETS)
def test_an_official_archive_is_unpacked_once(copy, name, monkeypatch) -> None:
    root = copy(name)
    before = MODULES[name].read(root / name).counts
    archive = packed(name, root)
    if name != "inshop":  # whose digest nobody publishes
        with pytest.raises(DataError, match=rf"{archive.name} has MD5 .*, expected .*: fetch it again"):
            prepare(tasks.dataset(name), root)
        monkeypatch.setattr(MODULES[name], "ARCHIVE_MD5", photo_lists.file_digest(archive, "md5"))
    prepare(tasks.dataset(name), root)
    assert MODULES[name].read(root / name).counts == before
    assert not [*archive.parent.glob(".unpacking-*")]


def test_an_archive_of_something_else_leaves_nothing(copy) -> None:
    root = copy("inshop")
    archive = packed("inshop", root)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "wrong archive")
    with pytest.raises(DataError, match=r"img\.zip holds no folder img/"):
        prepare(tasks.dataset("inshop"), root)
    archive.write_bytes(b"PK\3\4 damaged")
    with pytest.raises(DataError, match=r"img\.zip cannot be unpacked"):
        prepare(tasks.dataset("inshop"), root)
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("img/a.jpg", "")
    archive.write_bytes(archive.read_bytes().replace(b"PK\1\2\x14\3\x14\0\0", b"PK\1\2\x14\3\x14\0\1"))
    with pytest.raises(DataError, match=r"img\.zip is encrypted .*with the password"):
        prepare(tasks.dataset("inshop"), root)
    assert sorted(p.name for p in archive.parent.iterdir()) == ["img.zip"]


def test_names_in_an_archive_that_lead_out_of_it_are_not_followed(copy) -> None:
    root = copy("inshop")
    archive = packed("inshop", root)
    with zipfile.ZipFile(archive, "a") as file:
        file.writestr("../../../outside.txt", "")
    prepare(tasks.dataset("inshop"), root)
    assert not [*root.rglob("outside.txt")]


@pytest.mark.parametrize("name", DATASETS)
def test_official_counts_make_the_edition_official(copy, name, monkeypatch) -> None:
    root, module = copy(name), MODULES[name]
    monkeypatch.setattr(module, "COUNTS", module.read(root / name).counts)
    if name == "cars":
        annotations = root / name / cars.TREE / cars.ANNOTATIONS
        monkeypatch.setattr(cars, "ANNOTATIONS_MD5", photo_lists.file_digest(annotations, "md5"))
    assert prepare(tasks.dataset(name), root).edition == "official"


def test_a_gallery_without_any_item_of_the_queries_is_refused(copy) -> None:
    root = copy("inshop")
    path = root / "inshop" / inshop.TREE / inshop.LIST
    _, header, *lines = path.read_text().splitlines()
    queries = {line.split()[1] for line in lines if line.endswith("query")}
    half = sorted(queries)[: len(queries) // 2]
    kept = [line for line in lines if line.endswith("train") or (line.split()[1] in half) == line.endswith("query")]
    path.write_text("\n".join([str(len(kept)), header, *kept]) + "\n")
    with pytest.raises(DataError, match="no item of the query photos has a photo in the gallery"):
        prepare(tasks.dataset("inshop"), root)


def test_an_archive_without_a_published_digest_has_a_limit(copy, monkeypatch) -> None:
    root = copy("inshop")
    packed("inshop", root)
    monkeypatch.setattr(inshop, "LARGEST", 5000)
    with pytest.raises(DataError, match=r"img\.zip: img/.* bytes, more than the .* expected"):
        prepare(tasks.dataset("inshop"), root)
    assert not (root / "inshop" / inshop.TREE / inshop.IMAGES).exists()


def test_complex_classes_are_named(copy) -> None:
    from scipy.io import loadmat, savemat

    path = copy("cars") / "cars" / cars.TREE / cars.ANNOTATIONS
    records = loadmat(path, squeeze_me=True)[cars.STRUCT]
    records["class"][0] = 5 + 0j
    savemat(path, {cars.STRUCT: records})
    with pytest.raises(DataError, match=r"annotation 1: class '\(5\+0j\)' is not a whole number"):
        cars.read(path.parent.parent)
