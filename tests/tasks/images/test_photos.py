"""Photos of every kind are read in RGB; those that are not whole are named."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from optathlon.tasks.errors import DataError
from optathlon.tasks.images.files import open_photo
from optathlon.tasks.images.photos import PhotoIndex, decode_each
from optathlon.tasks.randomness import generator


def image(side: int = 64) -> Image.Image:
    return Image.fromarray(generator("files").integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("mode", "kind"), [("RGB", "PNG"), ("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG")]
)
def test_a_photo_of_any_kind_under_any_name_is_rgb(tmp_path, mode, kind) -> None:
    image().convert(mode).save(tmp_path / "photo.JPEG", format=kind)
    opened = open_photo(tmp_path / "photo.JPEG")
    assert (opened.mode, opened.size) == ("RGB", (64, 64))


def test_exif_that_is_broken_is_passed_over_without_a_word(tmp_path) -> None:
    saved = io.BytesIO()
    image().save(saved, format="JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01\x1a")
    (tmp_path / "photo.jpg").write_bytes(saved.getvalue())
    code = "import sys, pathlib, optathlon.tasks.images.files as f; f.open_photo(pathlib.Path(sys.argv[1]))"
    argv = [sys.executable, "-c", code, str(tmp_path / "photo.jpg")]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stderr
    assert said == ""


@pytest.mark.parametrize("keep", [0, 20, 700])
def test_a_photo_that_is_not_whole_is_named(tmp_path, keep) -> None:
    image().save(tmp_path / "photo.jpg")
    (tmp_path / "photo.jpg").write_bytes((tmp_path / "photo.jpg").read_bytes()[:keep])
    for smallest in (None, (1, 1)):
        with pytest.raises(DataError, match=r"photo\.jpg is not a whole image .*; fetch or unpack it again"):
            open_photo(tmp_path / "photo.jpg", smallest)
    index = PhotoIndex.from_lists(tmp_path, ["photo.jpg"], [0])
    with pytest.raises(DataError, match=r"photo\.jpg is not a whole image"):
        decode_each(index)


def test_an_index_of_photos_is_a_sequence_in_two_arrays(tmp_path) -> None:
    index = PhotoIndex.from_lists(tmp_path, ["a/1.jpg", "b/ü.jpg", "b/3.jpg"], [0, 1, 1])
    assert [p.path.relative_to(tmp_path).as_posix() for p in index] == ["a/1.jpg", "b/ü.jpg", "b/3.jpg"]
    assert [p.label for p in index[1:]] == [1, 1]
    assert len(index.taken(np.array([True, False, True]))) == 2
    with pytest.raises(IndexError):
        index[3]
