"""COCO's official layout is read where it lies; what is broken in it is named; imitations are in that layout."""

from __future__ import annotations

import copy
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as masks
from pycocotools.coco import COCO

from optathlon.tasks.coco import dataset as coco
from optathlon.tasks.coco import standin
from optathlon.tasks.coco.categories import CATEGORIES
from optathlon.tasks.coco.dataset import Coco
from optathlon.tasks.coco.layout import read, read_both
from optathlon.tasks.coco.writing import run_lengths
from optathlon.tasks.data.dataset import build, prepare
from optathlon.tasks.data.files import file_digest
from optathlon.tasks.errors import DataError
from optathlon.tasks.images import emoji
from optathlon.tasks.images.files import open_photo
from tests.miniatures import put_miniatures
from tests.tasks.packages import packages_or_skip

Change = Callable[[dict[str, Any]], None]


def content() -> dict[str, Any]:
    """Annotations of three photos, the second without objects, with ids in no order and gaps between them."""

    def annotation(number: int, image: int, category: int, box: list[float], **more: Any) -> dict[str, Any]:
        return {"id": number, "image_id": image, "category_id": category, "bbox": box, "iscrowd": 0, **more}

    return {
        "info": {"year": 2017},
        "licenses": [],
        "images": [
            {"id": 900, "file_name": "c.jpg", "width": 40, "height": 30, "coco_url": "http://…"},
            {"id": 7, "file_name": "a.jpg", "width": 20, "height": 50},
            {"id": 31, "file_name": "b.jpg", "width": 40, "height": 30},
        ],
        "annotations": [
            annotation(5, 31, 90, [1.5, 2.5, 10, 12], area=77.5, segmentation=[[1, 2, 11, 2, 11, 14]]),
            annotation(2, 900, 1, [0, 0, 0, 0], area=0, segmentation=[]),
            annotation(44, 900, 90, [30, 20, 100, 1], area=50, segmentation={"counts": [3, 4, 1193], "size": [30, 40]}),
            annotation(3, 31, 13, [0, 0, 40, 30], iscrowd=1, segmentation={"counts": "abc0", "size": [30, 40]}),
            annotation(8, 31, 1, [4, 4, 1, 1]),
        ],
        "categories": [
            {"id": 90, "name": "toothbrush", "supercategory": "indoor"},
            {"id": 1, "name": "person"},
            {"id": 13, "name": "stop sign"},
        ],
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The data folder's coco/ with a small edition in the official layout."""
    write(tmp_path / "coco")
    return tmp_path / "coco"


def write(folder: Path, train: Change = lambda _: None, test: Change = lambda _: None, shapes: bool = True) -> None:
    for split, change in (("train2017", train), ("val2017", test)):
        changed = copy.deepcopy(content())
        change(changed)
        (folder / "annotations").mkdir(parents=True, exist_ok=True)
        (folder / "annotations" / f"instances_{split}.json").write_text(json.dumps(changed), encoding="utf-8")
        if shapes:
            (folder / split).mkdir(parents=True, exist_ok=True)
            for image in changed["images"]:
                pixels = np.random.default_rng(image["id"]).integers(0, 256, (image["height"], image["width"], 3))
                Image.fromarray(pixels.astype(np.uint8)).save(folder / split / image["file_name"])


def test_boxes_are_sorted_by_image_and_classes_have_no_gaps(folder) -> None:
    train = read(folder, "train2017")
    assert train.files == ["c.jpg", "a.jpg", "b.jpg"]
    assert train.sizes.tolist() == [[30, 40], [50, 20], [30, 40]]
    assert train.starts.tolist() == [0, 2, 2, 5]
    assert train.categories.tolist() == [1, 13, 90]
    assert train.labels.tolist() == [0, 2, 2, 1, 0]
    assert train.crowd.tolist() == [False, False, False, True, False]
    assert train.boxes[1].tolist() == [30, 20, 100, 1], "as it is written, also beyond the border"
    assert train.areas.tolist() == [0, 50, 77.5, 1200, 1], "of boxes where no area is given"
    assert train.path(1) == folder / "train2017" / "a.jpg"
    assert train.with_boxes == 2
    some = train.subset([2, 1])
    assert (some.files, some.starts.tolist(), some.labels.tolist()) == (["b.jpg", "a.jpg"], [0, 3, 3], [2, 1, 0])


def test_a_byte_order_mark_and_odd_line_ends_do_not_matter(folder) -> None:
    path = folder / "annotations" / "instances_train2017.json"
    text = json.dumps(json.loads(path.read_text()), indent=1).replace("\n", "\r\n")
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read(folder, "train2017")) == 3


def set_first(part: str, **values: Any) -> Change:
    return lambda found: found[part][0].update(values)


def repeat_first(part: str) -> Change:
    return lambda found: found[part].append(copy.deepcopy(found[part][0]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (repeat_first("images"), "images has the id 900 2 times"),
        (repeat_first("annotations"), "annotations has the id 5 2 times"),
        (repeat_first("categories"), "categories has the id 90 2 times"),
        (set_first("annotations", image_id=8), "annotation 5 is of image 8, which the file does not list; 1 of 5"),
        (set_first("annotations", category_id=2), "annotation 5 is of category 2, which the file does not list"),
        (set_first("annotations", bbox=[0, 0, -1, 3]), r"annotation 5 has the box \[0.0, 0.0, -1.0, 3.0\] of negative"),
        (set_first("annotations", bbox=[0, 0, 1]), r"is damaged \(.*annotations\[0\]\.bbox"),
        (set_first("annotations", bbox=None), r"annotations\[0\]\.bbox"),
        (set_first("annotations", bbox=[1, 2, 1e308, 3]), r"annotations\[0\]\.bbox\[2\]"),
        (set_first("annotations", bbox=[1, 2, float("nan"), 3]), "JSON is malformed"),
        (set_first("annotations", area="5"), r"annotations\[0\]\.area"),
        (set_first("images", id="900"), r"Expected `int`, got `str` - at `\$\.images\[0\]\.id`"),
        (set_first("images", id=900.5), r"Expected `int`, got `float` - at `\$\.images\[0\]\.id`"),
        (set_first("images", id=2**53), r"images\[0\]\.id"),
        (set_first("images", id=-1), r"images\[0\]\.id"),
        (set_first("annotations", iscrowd=2), r"annotations\[0\]\.iscrowd"),
        (set_first("images", width=0), r"images\[0\]\.width"),
        (set_first("images", file_name="../../etc/passwd"), "image 900: .* is not a path below"),
        (lambda found: found.pop("categories"), "missing required field `categories`"),
        (lambda found: found["images"].clear(), "lists no images"),
        (lambda found: found["categories"].clear(), "lists no categories"),
    ],
)
def test_broken_annotations_are_named(tmp_path, change, message) -> None:
    write(tmp_path / "coco", train=change, shapes=False)
    with pytest.raises(DataError, match=rf"instances_train2017\.json.*{message}"):
        read(tmp_path / "coco", "train2017")


def test_a_file_cut_off_is_named(folder) -> None:
    path = folder / "annotations" / "instances_val2017.json"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"instances_val2017\.json is not the official file or is damaged"):
        read_both(folder)


def test_categories_of_one_split_alone_are_named(tmp_path) -> None:
    write(tmp_path, test=lambda found: found["categories"].append({"id": 4, "name": "car"}), shapes=False)
    with pytest.raises(DataError, match="category 4 is in only one of"):
        read_both(tmp_path)


def test_training_without_any_annotation_is_refused(tmp_path) -> None:
    write(tmp_path, train=lambda found: found["annotations"].clear(), shapes=False)
    with pytest.raises(DataError, match="has no annotations to learn from"):
        read_both(tmp_path)


def test_gray_and_cmyk_photos_and_hidden_files_are_fine(folder) -> None:
    for mode, name in (("L", "a.jpg"), ("CMYK", "b.jpg")):
        with Image.open(folder / "train2017" / name) as image:
            image.convert(mode).save(folder / "train2017" / name)
    (folder / "train2017" / "._a.jpg").write_bytes(b"\x00\x05\x16\x07")
    (folder / "val2017" / ".DS_Store").write_bytes(b"\x00")
    assert prepare(Coco(), folder.parent).edition.startswith("custom-")


def test_photos_are_as_they_are_stored_whatever_their_exif_says_of_rotation(folder) -> None:
    """Sizes and boxes are given in stored pixels."""
    with Image.open(folder / "train2017" / "a.jpg") as image:
        exif = image.getexif()
        exif[0x0112] = 6  # orientation: turned by 90 degrees
        image.save(folder / "train2017" / "a.jpg", exif=exif, quality="keep")
    assert open_photo(folder / "train2017" / "a.jpg").size == (20, 50)
    assert prepare(Coco(), folder.parent).edition.startswith("custom-")
    write(folder, train=lambda found: found["images"][1].update(width=50, height=20), shapes=False)
    with pytest.raises(DataError, match=r"a\.jpg is 20 x 50 pixels, but listed as 50 x 20"):
        prepare(Coco(), folder.parent)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: path.unlink(), r"b\.jpg cannot be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:300]), r"b\.jpg is not a whole image"),
        (lambda path: path.write_text("<html>not found</html>"), r"b\.jpg is not a whole image"),
        (lambda path: shutil.copy(path.parent / "a.jpg", path), r"b\.jpg is 20 x 50 pixels, but listed as 40 x 30"),
    ],
)
def test_photos_that_are_missing_damaged_or_of_another_size_are_named(folder, damage, message) -> None:
    damage(folder / "val2017" / "b.jpg")
    with pytest.raises(DataError, match=message):
        prepare(Coco(), folder.parent)


def test_a_tree_elsewhere_is_only_read_through_a_link(tmp_path) -> None:
    elsewhere = tmp_path / "datasets" / "COCO"
    write(elsewhere)
    before = {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    for path in [elsewhere, *elsewhere.rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    (tmp_path / "data" / "coco").mkdir(parents=True)
    (tmp_path / "data" / "coco" / "coco").symlink_to(elsewhere)
    try:
        prepared = prepare(Coco(), tmp_path / "data")
    finally:
        for path in [elsewhere, *elsewhere.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert prepared.files == 8
    assert before == {path: path.stat().st_mtime_ns for path in elsewhere.rglob("*")}
    assert len(read(tmp_path / "data" / "coco", "val2017")) == 3


def test_the_official_counts_prove_the_official_data(folder, monkeypatch) -> None:
    monkeypatch.setattr(coco, "COUNTS", ((3, 2), (3, 2)))
    found = prepare(Coco(), folder.parent)
    assert (found.edition, found.verified) == ("official", "counts of photos and of photos with boxes")


def test_archives_are_unpacked_if_their_digest_is_the_published(folder, monkeypatch) -> None:
    archives = {}
    for inside, name in (("train2017", "train2017.zip"), ("annotations", "annotations_trainval2017.zip")):
        with zipfile.ZipFile(folder / name, "w") as archive:
            for path in sorted((folder / inside).iterdir()):
                archive.write(path, f"{inside}/{path.name}")
        shutil.rmtree(folder / inside)
        archives[name] = (inside, file_digest(folder / name, "md5"))
    monkeypatch.setattr(coco, "COUNTS", ((3, 2), (3, 2)))
    with pytest.raises(DataError, match=r"train2017\.zip has MD5 .*, expected cced6f7f71b7629ddf16f17bbcfab6b2"):
        prepare(Coco(), folder.parent)
    monkeypatch.setattr(coco, "ARCHIVES", archives)
    found = prepare(Coco(), folder.parent)
    assert found.edition == "official"
    assert found.verified.startswith("MD5 of train2017.zip, MD5 of annotations_trainval2017.zip, counts")


def test_data_that_is_not_there_says_what_to_get(tmp_path) -> None:
    (tmp_path / "coco").mkdir()
    with pytest.raises(DataError, match=r"no annotations/instances_train2017\.json in"):
        prepare(Coco(), tmp_path)


def test_the_categories_are_the_official_80() -> None:
    ids = [
        *range(1, 12),
        *range(13, 26),
        27,
        28,
        *range(31, 45),
        *range(46, 66),
        67,
        70,
        *range(72, 83),
        *range(84, 91),
    ]
    assert list(CATEGORIES) == ids
    assert len(set(CATEGORIES.values())) == len(ids) == 80


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # of pycocotools with NumPy 2
def test_the_miniature_is_readable_by_pycocotools_and_has_what_official_data_has(tmp_path, capsys) -> None:
    put_miniatures(tmp_path, "coco")
    train, test = read_both(tmp_path / "coco")
    assert (len(train), len(test)) == (200, 60)
    assert train.with_boxes < len(train), "some photos are empty"
    assert train.crowd.any()
    assert np.diff(train.categories).max() > 1, "category ids have gaps"
    for split in ("train2017", "val2017"):
        theirs = COCO(tmp_path / "coco" / "annotations" / f"instances_{split}.json")
        capsys.readouterr()
        kinds = set()
        for number, annotation in theirs.anns.items():
            mask = theirs.annToMask(annotation)
            box = masks.toBbox(masks.encode(np.asfortranarray(mask))).tolist()
            assert box == annotation["bbox"], number
            kinds.add((type(annotation["segmentation"]).__name__, annotation["iscrowd"]))
        assert kinds == {("list", 0), ("dict", 0), ("dict", 1)}


def test_run_lengths_are_cocos() -> None:
    mask = np.array([[1, 1, 0], [1, 0, 0]], dtype=bool)
    assert run_lengths(mask) == [0, 3, 3]
    assert run_lengths(~mask) == [3, 3]
    rle = masks.frPyObjects({"counts": run_lengths(mask), "size": [2, 3]}, 2, 3)
    assert masks.decode(rle).astype(bool).tolist() == mask.tolist()


@pytest.mark.slow
def test_the_stand_in_has_true_categories_and_vendors_that_only_the_test_shows(tmp_path, monkeypatch) -> None:
    """With a few of its categories, for the time that drawing emoji takes."""
    with packages_or_skip():
        emoji.renderer()
        known = {concept.name: concept.drawings for concept in emoji.concepts(1)}
        standin._photographs()
    assert len(standin.EMOJI) == 68
    assert set(standin.EMOJI) < set(CATEGORIES.values())
    for name, titles in standin.EMOJI.items():
        vendors = {vendor for title in titles for vendor in known[title]}
        assert vendors & set(standin.UNSEEN), name
        assert len(vendors - set(standin.UNSEEN)) >= 3, name
    few = ("dog", "cup", "bus", "toothbrush")
    monkeypatch.setattr(standin, "EMOJI", {name: standin.EMOJI[name] for name in few})
    monkeypatch.setattr(standin, "PICTURES", {"train2017": 12, "val2017": 6})
    assert build(Coco(), tmp_path, "standin").edition == "standin-1"
    for split in read_both(tmp_path / "coco"):
        assert split.categories.tolist() == list(CATEGORIES)
        assert {CATEGORIES[int(split.categories[label])] for label in split.labels} <= set(few)
        assert (split.areas > 0).all()
        assert (split.areas <= split.boxes[:, 2] * split.boxes[:, 3]).all()
        assert (split.boxes[:, :2] + split.boxes[:, 2:] <= (standin.WIDTH, standin.HEIGHT)).all()
