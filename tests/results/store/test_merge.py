"""Several stores into one: nothing is changed or lost, and whatever is left out is named."""

from __future__ import annotations

import hashlib
import json

import msgspec
import pytest

from optathlon.results import Store, StoreError, leaderboard
from optathlon.results.store.merge import merge
from tests.results.make import Sweep, digest, record, run_id, setting

ROWS = {name: [setting(name)] for name in ("sgd", "adam", "adamp")}


def fits(found):
    return run_id(found.digests.problem, found.digests.setting, found.seed) == found.id and (
        digest(found.problem), digest(found.setting)) == (found.digests.problem, found.digests.setting)  # fmt: skip


def filled(root, records, *sweeps):
    store = Store(root)
    for each in records:
        store.commit(each)
    for sweep in sweeps:
        store.put_plan(sweep.plan, b"# the sweep\n")
    return store


def files(store):
    """Every file of a store with its digest."""
    return {str(p.relative_to(store.root)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in store.root.rglob("*") if p.is_file()}  # fmt: skip


def path_of(store, found):
    return store.root / "records" / found.id[:2] / f"{found.id}.json"


@pytest.fixture
def sweep():
    return Sweep(ROWS, baseline="sgd")


@pytest.fixture
def labs(tmp_path, sweep):
    """Two labs that ran one sweep: adam's runs in both, with equal outcomes."""
    records = sweep.records(lambda r: 0.1 * len(r.row) + 0.01 * r.seed)
    of_row = {row: [r for r in records if r.setting["optimizer"] == row] for row in ROWS}
    elsewhere = [
        msgspec.structs.replace(r, provenance={"attempt": 2, "machine": {"host": "other"}}) for r in of_row["adam"]
    ]
    first = filled(tmp_path / "first", of_row["sgd"] + of_row["adam"], sweep)
    second = filled(tmp_path / "second", elsewhere + of_row["adamp"], sweep)
    return first, second, records


def test_a_board_of_the_merged_store_is_that_of_all_records(labs, sweep, tmp_path):
    first, second, records = labs
    before = files(first), files(second)
    into = Store(tmp_path / "into")
    found = merge([first, second], into, fits)
    assert [(each.copied, each.same, each.whole) for each in found] == [(6, 0, True), (3, 3, True)]
    fresh = Store(into.root)
    assert leaderboard(fresh.plan("sweep"), fresh.records()) == leaderboard(sweep.plan, records)
    assert (files(first), files(second)) == before
    assert [*(into.root / "index").iterdir()]
    assert (into.root / "sweeps/sweep/plan-0001.toml").read_bytes() == b"# the sweep\n"


def test_records_are_copied_to_the_byte_with_fields_this_version_does_not_know(tmp_path):
    lab = filled(tmp_path / "lab", [known := record()])
    values = json.loads(path_of(lab, known).read_bytes()) | {"humidity": 0.4}
    path_of(lab, known).write_text(json.dumps(values))
    into = Store(tmp_path / "into")
    merge([lab], into, fits)
    assert path_of(into, known).read_bytes() == path_of(lab, known).read_bytes()


def test_merging_again_changes_nothing(labs, tmp_path):
    into = Store(tmp_path / "into")
    merge(labs[:2], into, fits)
    before = files(into)
    found = merge(labs[:2], Store(into.root), fits)
    assert [(each.copied, each.same) for each in found] == [(0, 6), (0, 6)]
    assert files(into) == before


def test_an_interrupted_merge_goes_on(labs, tmp_path):
    into = Store(tmp_path / "into")

    def stop(merged):
        if merged.copied == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        merge(labs[:2], into, fits, tell=stop)
    assert len(Store(into.root).finished()) == 4
    merged = merge(labs[:2], Store(into.root), fits)
    assert sum(each.copied for each in merged) == 5
    assert len(Store(into.root).records()) == 9


def test_a_conflict_is_told_with_both_provenances_and_overwrites_nothing(labs, tmp_path):
    _, second, _ = labs
    loser = second.records(curves=True)[0]
    other = msgspec.structs.replace(loser, updates=7, seed=loser.seed, provenance={"machine": {"host": "third"}})
    third = filled(tmp_path / "third", [other])
    into = Store(tmp_path / "into")
    merge([second], into, fits)
    before = files(into)
    (found,) = merge([third], into, fits)
    (conflict,) = found.conflicts
    assert (conflict.run, conflict.fields, found.whole) == (loser.id, ["updates"], False)
    assert (conflict.kept, conflict.other) == (loser.provenance, other.provenance)
    assert files(into) == before


def test_two_sources_may_conflict_in_a_dry_run_too(tmp_path):
    one, other = record(0.1), record(0.2)
    labs = [filled(tmp_path / name, [r]) for name, r in (("a", one), ("b", other))]
    found = merge(labs, Store(tmp_path / "into"), fits, dry=True)
    assert [(each.copied, len(each.conflicts)) for each in found] == [(1, 0), (0, 1)]
    assert not (tmp_path / "into").exists()


def test_a_dry_run_says_what_a_merge_does_and_writes_nothing(labs, tmp_path):
    into = Store(tmp_path / "into")
    told = merge(labs[:2], into, fits, dry=True)
    assert not into.root.exists()
    assert msgspec.to_builtins(told) == msgspec.to_builtins(merge(labs[:2], into, fits))


def test_a_damaged_plan_of_the_store_merged_into_is_named_and_the_others_come(labs, tmp_path):
    into = Store(tmp_path / "into")
    merge(labs[:1], into, fits)
    damaged = into.root / "sweeps/sweep/plan-0001.jsonl"
    damaged.write_bytes(b"{")
    (merged,) = merge(labs[1:2], Store(into.root), fits)
    assert [(plan.becomes, plan.new) for plan in merged.plans] == [(2, True)]
    (problem,) = merged.problems
    assert str(damaged) in problem
    assert damaged.read_bytes() == b"{"


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda values: b"{", "truncated or not JSON"),
        (lambda values: values | {"schema": 99}, "schema 99 is newer"),
        (lambda values: values | {"id": "f" * 16}, "under another name"),
        (lambda values: {"hello": "world", "schema": 1}, "is not a record"),
        (lambda values: values | {"seed": 5}, "its id is not that of"),
        (lambda values: values | {"setting": setting("lion")}, "its id is not that of"),
    ],
)
def test_what_cannot_be_used_is_named_and_the_rest_is_merged(labs, tmp_path, damage, reason):
    first, _, _ = labs
    victim = first.records()[0]
    made = damage(json.loads(path_of(first, victim).read_bytes()))
    path_of(first, victim).write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
    (merged,) = merge([Store(first.root)], into := Store(tmp_path / "into"), fits)
    (problem,) = merged.problems
    assert reason in problem
    assert victim.id in problem
    assert (merged.copied, len(into.finished())) == (5, 5)


def test_a_copy_under_another_name_is_named(labs, tmp_path):
    first, _, _ = labs
    original = path_of(first, first.records()[0])
    (original.parent / f"{original.stem} (copy).json").write_bytes(original.read_bytes())
    (found,) = merge([Store(first.root)], Store(tmp_path / "into"), fits)
    assert "is not a record's file" in found.problems[0]
    assert found.copied == 6


def test_another_plan_of_the_same_name_gets_the_next_number(labs, sweep, tmp_path):
    into = filled(tmp_path / "into", [], Sweep({"sgd": ROWS["sgd"]}))
    mine = into.plan("sweep")
    found = merge(labs[:2], into, fits)
    plans = [(p.number, p.becomes, p.new, p.shown) for each in found for p in each.plans]
    assert plans == [(1, 2, True, True), (1, 2, False, False)]
    assert into.plan("sweep", 1) == mine
    assert into.plan("sweep", 2) == sweep.plan


def test_a_damaged_plan_is_named_and_left_out(labs, tmp_path):
    first, _, _ = labs
    (first.root / "sweeps/sweep/plan-0001.jsonl").write_bytes(b'{"name"')
    (found,) = merge([first], into := Store(tmp_path / "into"), fits)
    assert "plan 1 of sweep is left out" in found.problems[0]
    assert (found.copied, into.plan_names()) == (6, [])


def test_unfinished_runs_stay_where_they_are_and_are_counted(labs, tmp_path):
    first, _, _ = labs
    for name in ("0123456789abcdef", first.records()[0].id):
        folder = first.work(name)
        folder.mkdir(parents=True)
        (folder / "checkpoint-a.pt").write_bytes(b"weights")
    (found,) = merge([first], into := Store(tmp_path / "into"), fits)
    assert found.unfinished == 1
    assert not (into.root / "work").exists()


def test_a_run_forgotten_here_does_not_come_back_unasked(labs, tmp_path):
    first, _, _ = labs
    into = Store(tmp_path / "into")
    merge([first], into, fits)
    bad = first.records()[0].id
    into.forget(bad)
    (found,) = merge([first], Store(into.root), fits)
    assert (found.copied, found.same) == (0, 5)
    assert f"run {bad}: was forgotten" in found.problems[0]
    assert bad not in Store(into.root).finished()


def test_what_is_no_store_and_the_store_itself_are_refused(labs, tmp_path):
    first, _, _ = labs
    for source, said in ((Store(tmp_path / "nowhere"), "is no store"), (first, "is the store to merge into")):
        with pytest.raises(StoreError, match=said):
            merge([source], first, fits)
    assert not (tmp_path / "nowhere").exists()


def test_a_source_is_not_written_to_even_below_its_root(labs, tmp_path):
    first, _, _ = labs
    with pytest.raises(StoreError, match="lies inside"):
        merge([first], Store(first.root / "merged"), fits)
    assert not (first.root / "merged").exists()
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(StoreError, match="is a file; a store is a folder"):
        merge([first], Store(tmp_path / "file"), fits)


def test_what_was_copied_is_told_where_the_index_cannot_be_written(labs, tmp_path):
    first, _, records = labs
    into = Store(tmp_path / "into")
    into.root.mkdir()
    (into.root / "index").write_text("in the way")
    (outcome,) = merge([first], into, fits)
    assert outcome.copied == len(into.records()) == 6 < len(records)
