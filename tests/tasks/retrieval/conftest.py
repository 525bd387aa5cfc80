"""The miniatures, which the tests of the workload share."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon.tasks.retrieval import DATASETS
from tests.miniatures import put_miniatures


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, "cub")
    return root


@pytest.fixture(scope="session")
def all_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    put_miniatures(root, *DATASETS)
    return root
