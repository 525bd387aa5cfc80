"""Picture files: only formats that photo collections hold, no extreme shapes, and damage is named."""

from __future__ import annotations

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile

from optathlon.tasks.errors import DataError
from optathlon.tasks.images.crops import center_crop
from optathlon.tasks.images.files import open_photo


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "BMP", "PPM", "TIFF", "WEBP"])
def test_a_photo_is_opened_whatever_its_suffix(tmp_path: Path, kind: str) -> None:
    Image.new("RGB", (9, 8), "red").save(tmp_path / "a.jpg", format=kind)
    assert open_photo(tmp_path / "a.jpg").size == (9, 8)


def test_decoders_of_other_formats_are_never_reached(tmp_path: Path) -> None:
    Image.new("P", (16, 16)).save(tmp_path / "a.jpg", format="BLP")
    with pytest.raises(DataError, match="is not a whole image"):
        open_photo(tmp_path / "a.jpg")


@pytest.mark.parametrize("error", [MemoryError, TypeError, IndexError, RuntimeError, struct.error, EOFError])
def test_whatever_a_decoder_raises_for_damage_is_named(tmp_path: Path, monkeypatch, error: type) -> None:
    Image.new("RGB", (9, 8)).save(tmp_path / "a.jpg")

    def broken(self: ImageFile.ImageFile) -> None:
        raise error

    monkeypatch.setattr(ImageFile.ImageFile, "load", broken)
    with pytest.raises(DataError, match=rf"a\.jpg is not a whole image \({error.__name__}\)"):
        open_photo(tmp_path / "a.jpg")


def test_no_photo_is_a_line(tmp_path: Path) -> None:
    Image.new("RGB", (1, 20_000)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match="it is 1 x 20000 pixels, which is no photo's shape"):
        open_photo(tmp_path / "a.png")
    Image.new("RGB", (10, 1000)).save(tmp_path / "a.png")
    assert open_photo(tmp_path / "a.png").size == (10, 1000)


OPEN = """
import sys
from pathlib import Path
from optathlon.tasks.errors import DataError
from optathlon.tasks.images.files import open_photo
try:
    open_photo(Path(sys.argv[1]))
except DataError as error:
    print(error)
"""


def test_what_would_take_gigabytes_is_refused_by_its_header_and_pillow_prints_nothing(tmp_path: Path) -> None:
    Image.new("1", (9460, 9460)).save(tmp_path / "a.png")
    opened = subprocess.run([sys.executable, "-c", OPEN, tmp_path / "a.png"], capture_output=True, text=True)
    assert "a.png is not a whole image (it has 9460 x 9460 pixels; expected at most 89,478,485)" in opened.stdout
    assert opened.stderr == ""


def test_a_long_photo_is_cut_before_it_is_resized(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (8, 90, 3), dtype=np.uint8)
    smooth = Image.fromarray(noise).resize((900, 80))
    whole = smooth.resize((2880, 256), Image.Resampling.BILINEAR).crop((1328, 16, 1552, 240))
    difference = np.asarray(center_crop(smooth, 256, 224)).astype(int) - np.asarray(whole)
    assert np.abs(difference).max() <= 2
    huge = Image.new("RGB", (2, 200))
    assert center_crop(huge, 256, 224).size == (224, 224)
