"""`optathlon data`: official files are taken from where they lie, and used under the same --data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from optathlon.suite.main import main


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    folder.mkdir()
    for split in ("train", "valid", "test"):
        (folder / f"ptb.{split}.txt").write_text(" a cat sat \n")
    return folder


def test_prepare_from_says_where_the_data_is_and_check_finds_it(texts: Path, tmp_path: Path, capsys) -> None:
    data = tmp_path / "data"
    assert main(["data", "prepare", "ptb", "--from", str(texts), "--data", str(data)]) == 0
    said = capsys.readouterr().err
    assert f"in {data / 'ptb'}, 3 files" in said
    assert re.search(r", in \d+ s$", said.strip())
    assert main(["data", "check", "--data", str(data)]) == 0
    assert main(["list", "datasets", "--data", str(data)]) == 0
    assert "custom-" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["check", "ptb"], ["miniature", "ptb"], ["prepare", "ptb", "mnist"]])
def test_from_is_for_preparing_one_data_set(texts: Path, words: list[str], capsys) -> None:
    assert main(["data", *words, "--from", str(texts)]) == 2
    assert "--from is for `optathlon data prepare` of one data set" in capsys.readouterr().err


def test_text_that_is_no_penn_treebank_is_told_in_one_line(texts: Path, tmp_path: Path, capsys) -> None:
    (texts / "ptb.train.txt").write_text(" a cat <eos>\n sat <eos>\n")
    assert main(["data", "prepare", "ptb", "--from", str(texts), "--data", str(tmp_path / "data")]) != 0
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "2 of 2 lines begin or end in <eos> already" in told[0]
