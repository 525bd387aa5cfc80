"""Plans are numbered, written once, and found again."""

from __future__ import annotations

import threading

import msgspec
import pytest

from optathlon.results import Store, StoreError
from tests.results.make import Sweep, setting


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def plan(*rates):
    return Sweep({"sgd": [setting("sgd", lr=rate) for rate in rates]}, tune=[0]).plan


def test_a_plan_comes_back_as_it_was_with_its_toml(store):
    assert store.put_plan(plan(0.1, 0.3), b"name = 'sweep'\n") == 1
    assert store.plan("sweep") == plan(0.1, 0.3)
    assert (store.root / "sweeps/sweep/plan-0001.toml").read_bytes() == b"name = 'sweep'\n"
    assert store.plan_names() == ["sweep"]


def test_the_same_plan_is_not_written_again_however_late_it_was_expanded(store):
    store.put_plan(plan(0.1), b"")
    assert store.put_plan(plan(0.3), b"") == 2
    head = msgspec.structs.replace(plan(0.1).head, created="later")
    assert store.put_plan(msgspec.structs.replace(plan(0.1), head=head), b"other comments") == 1
    assert store.plan("sweep", 1) == plan(0.1)
    assert store.plan("sweep") == store.plan("sweep", 2) == plan(0.3)
    assert store.plan_numbers("sweep") == [1, 2]


def test_many_launches_at_once_agree_on_the_numbers(store):
    numbers = []
    start = threading.Barrier(8)

    def launch(which):
        start.wait()
        numbers.append((which, store.put_plan(plan(0.1 + which), b"")))

    threads = [threading.Thread(target=launch, args=(n % 2,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(numbers)) == 2
    assert {number for _, number in numbers} == {1, 2}


def test_a_plan_that_is_not_there_is_named_with_those_that_are(store):
    store.put_plan(plan(0.1), b"")
    with pytest.raises(StoreError, match=r"no plan of sweep 'swep'.*sweep"):
        store.plan("swep")
    with pytest.raises(StoreError, match=r"no plan 7 .*1"):
        store.plan("sweep", 7)


@pytest.mark.parametrize("name", ["", ".", "..", "../x", "a/b", "a b", ".hidden", "ä", "a\n"])
def test_a_sweep_name_cannot_leave_the_store(store, name):
    with pytest.raises(StoreError, match="sweep name"):
        store.plan(name)
    with pytest.raises(StoreError, match="sweep name"):
        store.put_submission(name, {})
    assert not store.root.exists()


def test_a_damaged_plan_is_named(store):
    store.put_plan(plan(0.1, 0.3), b"")
    path = store.root / "sweeps/sweep/plan-0001.jsonl"
    whole = path.read_bytes()
    for damaged in (whole[:100], whole[:-20], whole.replace(b'"sgd"}', b'"sgd"') + b"{", whole + b"[" * 10**5, b""):
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"plan-0001\.jsonl"):
            store.plan("sweep")
    path.write_bytes(whole.replace(b'"column":"mnist"', b'"column":"mnits"'))
    with pytest.raises(StoreError, match=r"line 2: column 'mnits'"):
        store.plan("sweep")


@pytest.mark.parametrize("field", ["problem", "setting", "row", "column"])
def test_a_line_that_names_what_the_head_does_not_know_is_told(store, field):
    whole = plan(0.1, 0.3)
    whole.runs[1] = msgspec.structs.replace(whole.runs[1], **{field: "unknown"})
    store.put_plan(whole, b"")
    with pytest.raises(StoreError, match=f"line 3: {field} 'unknown' is not in the plan's first line"):
        store.plan("sweep")


def test_a_line_that_names_a_thing_twice_is_damaged_by_the_first(store):
    number = store.put_plan(plan(0.1), b"")
    path = store.sweep_folder("sweep") / f"plan-{number:04d}.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"row":"sgd"', b'"row":"sdg","row":"sgd"'))
    with pytest.raises(StoreError, match=r"plan-0001\.jsonl: damaged \(.*'sdg'.*\); remove it and launch"):
        store.plan("sweep")


@pytest.mark.parametrize("count", [0, 1])
def test_a_head_without_settings_fits_a_plan_without_runs_only(store, count):
    whole = plan(0.1)
    head = msgspec.structs.replace(whole.head, settings={})
    store.put_plan(msgspec.structs.replace(whole, head=head, runs=whole.runs[:count]), b"")
    if count:
        with pytest.raises(StoreError, match="line 2: setting"):
            store.plan("sweep")
    else:
        assert store.plan("sweep").runs == []


def test_rows_may_have_any_name_and_equal_names_are_one_object(store):
    rows = {'é "quoted"\n\\': [setting("sgd", lr=0.1)], "": [setting("adam", lr=0.1)]}
    store.put_plan(Sweep(rows).plan, b"")
    read_back = store.plan("sweep")
    assert read_back == Sweep(rows).plan
    assert len({id(run.row) for run in read_back.runs}) == len(rows)


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"schema": 1}\n', b"\xff\xfe"])
def test_a_damaged_plan_keeps_no_other_from_being_written_and_is_named(store, damaged):
    store.put_plan(plan(0.1), b"")
    path = store.root / "sweeps/sweep/plan-0001.jsonl"
    path.write_bytes(damaged)
    assert store.put_plan(plan(0.3), b"") == 2
    assert store.put_plan(plan(0.1), b"") == 3, "what is damaged is nobody's plan"
    assert store.plan("sweep", 3) == plan(0.1)
    assert set(store.plan_digests("sweep").values()) == {2, 3}
    (problem,) = store.problems
    assert str(path) in problem
    assert "remove this plan" in problem
    assert path.read_bytes() == damaged


@pytest.mark.parametrize(
    ("part", "forged", "reason"),
    [
        ("baseline", "sdg", "baseline 'sdg' is not in the plan"),
        ("settings", {"0": {"version": 1}}, "setting: Object missing required field `optimizer`"),
        ("problems", {"0": {"task": 7}}, "problem: Expected `str`, got `int`"),
        ("table", {"columns": [], "rows": [{"label": "a", "row": "b"}]}, "table row 'b' is not in the plan"),
    ],
)
def test_a_forged_head_is_named(store, part, forged, reason):
    store.put_plan(plan(0.1, 0.3), b"")
    path = store.root / "sweeps/sweep/plan-0001.jsonl"
    head, _, runs = path.read_bytes().partition(b"\n")
    path.write_bytes(msgspec.json.encode(msgspec.json.decode(head) | {part: forged}) + b"\n" + runs)
    with pytest.raises(StoreError, match=reason):
        store.plan("sweep")


def test_submissions_are_kept_in_order(store):
    for number in (1, 2):
        path = store.put_submission("sweep", {"plan": number})
        assert path.name == f"submission-{number:04d}.json"
    assert [said["plan"] for said in store.submissions("sweep")] == [1, 2]


@pytest.mark.parametrize("garbage", [b"", b"[]", b'{"plan": ', b"\xff{}"])
def test_a_submission_that_cannot_be_read_is_passed_over(store, garbage):
    store.put_submission("sweep", {"plan": 1}).write_bytes(garbage)
    store.put_submission("sweep", {"plan": 2})
    assert [said["plan"] for said in store.submissions("sweep")] == [2]
