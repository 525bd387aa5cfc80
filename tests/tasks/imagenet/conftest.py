import pytest

from optathlon import tasks
from optathlon.tasks.data.dataset import build


@pytest.fixture(scope="session")
def miniature(tmp_path_factory: pytest.TempPathFactory):
    """A data folder with ImageNet's miniature, for all tests to read."""
    root = tmp_path_factory.mktemp("imagenet")
    build(tasks.dataset("imagenet"), root, "miniature")
    return root
