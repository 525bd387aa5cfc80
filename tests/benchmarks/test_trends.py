"""docs/trends.md says what its records say, and its verdicts follow the records (benchmarks/trends.py)."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from benchmarks.trends import RECORDS, SECTIONS, page
from optathlon.suite.planning.sweep_reader import find, load

PAGE = RECORDS.parent.parent / "trends.md"


@pytest.fixture
def store(tmp_path) -> Path:
    with tarfile.open(RECORDS) as records:
        records.extractall(tmp_path, filter="data")
    return tmp_path


def test_the_page_is_what_its_records_say(store):
    assert PAGE.read_text() == page(store) + "\n"


def test_each_claim_is_of_rows_of_its_sweep():
    for section in SECTIONS:
        rows = {entry.label for entry in load(find(section.sweep.replace("-", "/", 1))).entries}
        assert {row for claim in section.claims for row in (claim.row, claim.other)} <= rows
        assert {row for row, _ in section.published} <= rows


def test_norms_the_other_way_round_turn_the_verdict(store):
    """Norms of the other sign turn every difference: what was shown is then shown to be otherwise."""
    claim = "norm, last epoch: sgd momentum=0.975 > sgdp momentum=0.975"
    assert "| shown |" in line_of(PAGE.read_text(), claim)
    for file in store.glob("records/*/*.json"):
        record = json.loads(file.read_bytes())
        points = record["curve"]["points"]
        points["test/norm_last"] = [[time, -value] for time, value in points["test/norm_last"]]
        file.write_text(json.dumps(record))
    assert "**the opposite is shown**" in line_of(page(store), claim)


def line_of(text: str, claim: str) -> str:
    (line,) = [line for line in text.splitlines() if claim in line]
    return line


def test_runs_that_are_missing_are_named(store):
    next(store.glob("records/*/*.json")).unlink()
    with pytest.raises(SystemExit, match="not every run is finished: optathlon launch trends/"):
        page(store)
