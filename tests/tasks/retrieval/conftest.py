"""The miniatures, which the tests of the workload share."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon import tasks
from optathlon.tasks.data.dataset import build
from optathlon.tasks.retrieval import DATASETS


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    build(tasks.dataset("cub"), root, "miniature")
    return root


@pytest.fixture(scope="session")
def all_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for name in DATASETS:
        build(tasks.dataset(name), root, "miniature")
    return root
