"""The miniatures of the audio data sets, built once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.miniatures import put_miniatures


@pytest.fixture(scope="session")
def tagging_data(tmp_path_factory) -> Path:
    """A data root with the miniatures of mtat and dcase2017."""
    root = tmp_path_factory.mktemp("tagging")
    put_miniatures(root, "mtat", "dcase2017")
    return root


@pytest.fixture(scope="session")
def keyword_data(tmp_path_factory) -> Path:
    """A data root with the miniature of speech-commands."""
    root = tmp_path_factory.mktemp("keywords")
    put_miniatures(root, "speech-commands")
    return root


@pytest.fixture
def copied(tagging_data, tmp_path):
    """copied("mtat") is a copy of a miniature without its manifest and decoded clips, as if a user had put it there."""

    def copy(name: str) -> Path:
        ours = shutil.ignore_patterns("manifest.json", "files.tsv", "decoded")
        shutil.copytree(tagging_data / name, tmp_path / name, ignore=ours, copy_function=shutil.copyfile)
        return tmp_path / name

    return copy
