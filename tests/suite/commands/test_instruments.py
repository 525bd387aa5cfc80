"""audit, transfer, skeptic and boards by cost as commands, on a store of the quickstart whose numbers are made up."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import msgspec
import pytest

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.results.record import Curve, Identity, Record, Score
from optathlon.suite import main
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand

LEADS = {"adamp": 3.0, "adamw": 1.5}


def outcome(plan: Plan, run) -> Record:
    chance = random.Random(run.id)
    (column,) = [column for column in plan.head.columns if column.name == run.column]
    sign = 1.0 if column.higher_is_better else -1.0
    score = 50 + sign * LEADS.get(run.row, 0.0) + chance.gauss(0, 0.3)
    points = [(float(t), score - sign * (5 - t)) for t in range(1, 6)]
    watched = f"validation/{column.metric.partition('/')[2]}"
    return Record(
        id=run.id,
        digests=Identity(problem=run.problem, setting=run.setting),
        problem=plan.head.problems[run.problem],
        setting=plan.head.settings[run.setting],
        seed=run.seed,
        status="finished",
        scores=[Score(name=column.metric, unit=column.unit, higher_is_better=column.higher_is_better, value=score)],
        headline=column.metric,
        selection=None,
        updates=100,
        curve=Curve(unit="epochs", points={watched: points, "train/loss": [(t, chance.random()) for t, _ in points]}),
        provenance={
            "clock": {"seconds": 60.0},
            "code": {"tree": "aaaa"},
            "cost": {"seconds_per_update": 0.1},
            "machine": {"device": "cpu", "processes": 1, "peak_rss_mb": 500.0},
            "versions": {"torch": "2.11.0"},
        },
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    root = tmp_path_factory.mktemp("quickstart")
    plan = expand(sweep_reader.load(sweep_reader.find("quickstart")), root / "data")
    made = Store(root / "store")
    made.put_plan(plan, b"")
    for run in plan.runs:
        made.commit(outcome(plan, run))
    return made


@pytest.fixture
def ran(store, capsys, monkeypatch):
    monkeypatch.setenv("OPTATHLON_STORE", str(store.root))
    monkeypatch.setenv("OPTATHLON_DATA", str(store.root.parent / "data"))

    def run(*words):
        code = main.main([*map(str, words)])
        return code, *capsys.readouterr()

    return run


def test_audit_finds_no_fault_in_a_clean_store_and_says_what_it_looked_at(ran, store):
    code, text, _ = ran("audit")
    assert (code, "no fault found in 1 sweep and 36 records" in text) == (0, True)
    assert "NeurIPS 8, ACL C1" in text
    assert json.loads(ran("audit", store.root, "--json")[1])["findings"] == []


def test_audit_ends_with_1_where_a_record_was_changed_by_hand(ran, store, tmp_path):
    other = Store(tmp_path / "store")
    record = msgspec.structs.replace(store.records(curves=True)[0], seed=99)
    other.commit(record)
    code, text, _ = ran("audit", other.root)
    assert (code, "altered record" in text, record.id in text) == (1, True, True)


def test_audit_of_nothing_says_so(ran, tmp_path):
    code, _, error = ran("audit", tmp_path / "none")
    assert (code, "holds no sweep and no record yet" in error) == (4, True)


def test_transfer_says_of_a_sweep_with_one_setting_a_row_that_nothing_can_be_carried(ran, store):
    code, text, _ = ran("transfer", "quickstart")
    assert (code, text.count("fewer than two settings")) == (1, 4)
    assert ran("transfer", store.root)[0] == 1
    assert len(json.loads(ran("transfer", "--json")[1])["sweeps"]["quickstart"]["left_out"]) == 4


def test_skeptic_prints_what_it_would_run_and_writes_nothing(ran, store):
    before = sorted(path for path in Path(store.root).rglob("*"))
    code, text, _ = ran("skeptic", "quickstart", "--dry-run")
    assert (code, text.count("adamp         adamw")) == (0, 3)
    words = ("skeptic", "quickstart", "--dry-run", "--json", "--seeds", 4, "--task", "ptb-awd-lstm")
    document = json.loads(ran(*words)[1])
    assert {(run["row"], run["column"]) for run in document["runs"]} == {
        ("adamp", "ptb-awd-lstm"), ("adamw", "ptb-awd-lstm")
    }  # fmt: skip
    assert (len(document["runs"]), len(document["seeds"])) == (8, 4)
    assert sorted(path for path in Path(store.root).rglob("*")) == before


def test_skeptic_refuses_a_task_that_is_none_of_the_sweep(ran):
    code, _, error = ran("skeptic", "quickstart", "--task", "ptb-awd-lst")
    assert (code, "ptb-awd-lstm" in error) == (2, True)


def test_skeptic_reports_once_all_fresh_runs_have_their_outcome(ran, store, tmp_path, monkeypatch):
    store = Store(shutil.copytree(store.root, tmp_path / "store"))
    monkeypatch.setenv("OPTATHLON_STORE", str(store.root))
    planned = json.loads(ran("skeptic", "quickstart", "--dry-run", "--json", "--task", "ptb-awd-lstm")[1])["runs"]
    plan = store.plan("quickstart")
    for run in msgspec.convert(planned, list[type(plan.runs[0])]):
        store.commit(outcome(plan, run))
    code, text, _ = ran("skeptic", "quickstart", "--task", "ptb-awd-lstm")
    assert (code, "holds" in text) == (0, True)
    (claim,) = json.loads(ran("skeptic", "quickstart", "--task", "ptb-awd-lstm", "--json")[1])["claims"]
    assert claim["lead"] == pytest.approx(1.5, abs=0.6)
    assert claim["share_left"] == pytest.approx(claim["lead"] / claim["claim"]["lead"])


def test_boards_by_cost(ran):
    code, text, _ = ran("leaderboard", "quickstart", "--by", "time", "--target", "ptb-awd-lstm=50")
    assert (code, "seconds to validation/perplexity 50.00" in text) == (0, True)
    lines = ran("leaderboard", "quickstart", "--by", "memory", "--format", "csv", "--tasks", "ptb-*")[1].splitlines()
    assert len(lines) == 1 + 4
    assert "memory,MiB,lower" in lines[1]
    code, _, error = ran("leaderboard", "quickstart", "--target", "ptb-awd-lstm=50")
    assert (code, "--by time" in error) == (2, True)
