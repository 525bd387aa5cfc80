"""The miniature, which the tests of the detectors share."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.miniatures import put_miniatures


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "coco")
    return root
