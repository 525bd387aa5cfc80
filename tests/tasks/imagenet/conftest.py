"""ImageNet in the official folders: its miniature, and a few photos written by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon.tasks.imagenet.ilsvrc2012.miniature import wnid
from tests.miniatures import put_miniatures
from tests.tasks.imagenet.trees import CLASSES, TRAINING, VALIDATION, photo, write


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory):
    """A data folder with ImageNet's miniature, for all tests to read."""
    root = tmp_path_factory.mktemp("imagenet")
    put_miniatures(root, "imagenet")
    return root


@pytest.fixture
def folder(tmp_path) -> Path:
    """DATA/imagenet with three classes of four and two photos, written by hand."""
    for number in range(CLASSES):
        for place in range(TRAINING):
            write(tmp_path / f"imagenet/train/{wnid(number)}/{wnid(number)}_{place}.JPEG", number + place)
        for place in range(VALIDATION):
            write(tmp_path / f"imagenet/val/{wnid(number)}/{photo(1 + number + CLASSES * place)}", number)
    return tmp_path / "imagenet"
