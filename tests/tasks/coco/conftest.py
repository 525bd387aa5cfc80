"""The miniature, which the tests of the detectors share."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon import tasks
from optathlon.tasks.data.dataset import build


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    build(tasks.dataset("coco"), root, "miniature")
    return root
