"""The miniatures of the audio data sets, built once a session."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from optathlon.tasks.audio.dcase2017.dataset import Dcase2017
from optathlon.tasks.audio.mtat.dataset import MagnaTagATune
from optathlon.tasks.audio.speech_commands.dataset import SpeechCommands
from optathlon.tasks.data.dataset import build


@pytest.fixture(scope="session")
def tagging_data(tmp_path_factory) -> Path:
    """A data root with the miniatures of mtat and dcase2017."""
    root = tmp_path_factory.mktemp("tagging")
    for dataset in (MagnaTagATune(), Dcase2017()):
        assert build(dataset, root, "miniature").edition == "miniature-1"
    return root


@pytest.fixture(scope="session")
def keyword_data(tmp_path_factory) -> Path:
    """A data root with the miniature of speech-commands."""
    root = tmp_path_factory.mktemp("keywords")
    assert build(SpeechCommands(), root, "miniature").edition == "miniature-1"
    return root


@pytest.fixture
def copied(tagging_data, tmp_path):
    """copied("mtat") is a copy of a miniature without its manifest and decoded clips, as if a user had put it there."""

    def copy(name: str) -> Path:
        ours = shutil.ignore_patterns("manifest.json", "files.tsv", "decoded")
        shutil.copytree(tagging_data / name, tmp_path / name, ignore=ours, copy_function=shutil.copyfile)
        return tmp_path / name

    return copy
