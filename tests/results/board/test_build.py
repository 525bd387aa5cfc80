"""A cell is a mean, a deviation, a count and a verdict, and says what is missing."""

from __future__ import annotations

import math
import shutil
import statistics

import msgspec
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from optathlon.results import State, Store, StoreError, leaderboard, leaderboard_of_records, winners
from optathlon.results.plan import Table, TableColumn, TableRow
from optathlon.results.record import Score
from tests.results.make import ACCURACY, DIVERGED, Sweep, counted, digest, problem, record, run_id, setting

SGD, ADAM, ADAMP = setting("sgd"), setting("adam", lr=1e-3), setting("adamp", lr=1e-3)
ROWS = {"sgd": [SGD], "adam": [ADAM], "adamp": [ADAMP]}


def board_of(values, rows=ROWS, **options):
    """The board where each row has `values[row]`, one a seed, on each task; None: no record yet."""
    sweep = Sweep(rows, baseline="sgd", **options)
    records = [r for row, v in values.items() for r in sweep.records(counted(*v), row=row, role="report")]
    return leaderboard(sweep.plan, records)


def test_mean_deviation_and_extremes_of_three_seeds():
    cell = board_of({"sgd": [0.7, 0.5, 0.6]}).cell("sgd", "mnist")
    assert cell.mean == pytest.approx(0.6)
    assert cell.std == pytest.approx(0.1)
    assert (cell.min, cell.max, cell.n, cell.n_planned, cell.status) == (0.5, 0.7, 3, 3, "complete")


def test_the_deviation_is_that_of_a_sample():
    values = [1.0, 2.0, 4.0]
    cell = board_of({"sgd": values}).cell("sgd", "mnist")
    assert cell.std == pytest.approx(statistics.stdev(values))
    assert cell.std / statistics.pstdev(values) == pytest.approx(1.2247, abs=1e-4)


def test_one_seed_has_no_deviation():
    cell = board_of({"sgd": [0.5]}, report=[3]).cell("sgd", "mnist")
    assert (cell.mean, cell.std, cell.n, cell.status) == (0.5, None, 1, "complete")


@pytest.mark.parametrize(
    ("values", "status", "n", "n_diverged", "mean", "ranked"),
    [
        ([0.5, 0.6, 0.7], "complete", 3, 0, 0.6, True),
        ([0.5, 0.7, None], "incomplete", 2, 0, 0.6, False),
        ([None, None, None], "missing", 0, 0, None, False),
        ([0.5, 0.7, DIVERGED], "complete", 2, 1, 0.6, True),
        ([0.5, None, DIVERGED], "incomplete", 1, 1, 0.5, False),
        ([DIVERGED, None, None], "incomplete", 0, 1, None, False),
        ([DIVERGED] * 3, "diverged", 0, 3, None, True),
        ([0.5, 0.7, math.nan], "complete", 2, 1, 0.6, True),
        ([math.inf, math.nan, DIVERGED], "diverged", 0, 3, None, True),
        ([1e308, 1e308, -1e308], "diverged", 0, 3, None, True),
        ([1e99, 1e99, 1e101], "complete", 2, 1, 1e99, True),
    ],
)
def test_what_is_missing_or_diverged_is_said(values, status, n, n_diverged, mean, ranked):
    cell = board_of({"sgd": values}).cell("sgd", "mnist")
    assert (cell.status, cell.n, cell.n_planned, cell.n_diverged) == (status, n, 3, n_diverged)
    assert cell.mean == (None if mean is None else pytest.approx(mean))
    assert (cell.rank is not None) == ranked
    assert bool(cell.notes) == (values != [0.5, 0.6, 0.7])


def test_diverged_cells_rank_after_complete_ones_and_unfinished_ones_not_at_all():
    rows = {name: [setting(name)] for name in ("sgd", "some", "more", "all", "all too", "best", "late")}
    values = {
        "sgd": [0.1] * 3,
        "some": [0.9, 0.9, DIVERGED],
        "more": [0.99, DIVERGED, DIVERGED],
        "all": [DIVERGED] * 3,
        "all too": [DIVERGED] * 3,
        "best": [0.2] * 3,
        "late": [1.0, 1.0, None],
    }
    board = board_of(values, rows)
    ranks = {row.name: row.cells[0].rank for row in board.rows}
    assert ranks == {"best": 1, "sgd": 2, "some": 3, "more": 4, "all": 5.5, "all too": 5.5, "late": None}
    assert [row.name for row in board.rows if row.cells[0].best] == ["best"]


def test_a_mean_over_survivors_is_compared_with_nothing():
    board = board_of({"sgd": [0.5] * 3, "adam": [0.9, 0.9, DIVERGED], "adamp": [0.6] * 3})
    assert board.cell("adam", "mnist").delta is None
    assert board.cell("adamp", "mnist").delta == pytest.approx(0.1)
    assert board.cell("sgd", "mnist").delta is None
    board = board_of({"sgd": [0.5, 0.5, DIVERGED], "adam": [0.9] * 3})
    assert board.cell("adam", "mnist").delta is None


def test_nothing_is_best_where_all_diverged():
    board = board_of({name: [DIVERGED] * 3 for name in ROWS})
    assert [row.cells[0].best for row in board.rows] == [False] * 3
    assert {row.cells[0].rank for row in board.rows} == {2.0}


@pytest.mark.parametrize("values", [[None] * 3, [0.5, 0.5, None], [0.5, 0.5, DIVERGED]])
def test_nothing_is_best_where_nothing_is_whole(values):
    assert not board_of({"sgd": values}).cell("sgd", "mnist").best


def test_ties_share_rank_and_glory():
    board = board_of({"sgd": [0.5, 0.6, 0.7], "adam": [0.7, 0.5, 0.6], "adamp": [0.1] * 3})
    assert [(row.cells[0].rank, row.cells[0].best) for row in board.rows] == [(1.5, True), (1.5, True), (3.0, False)]


def test_lower_is_better_where_the_column_says_so():
    sweep = Sweep(ROWS, higher_is_better=False)
    records = []
    for row, value in (("sgd", 3.0), ("adam", 1.0), ("adamp", 2.0)):
        for r in sweep.records(counted(value), row=row):
            scores = [msgspec.structs.replace(s, higher_is_better=False) for s in r.scores]
            records.append(msgspec.structs.replace(r, scores=scores))
    assert [row.cells[0].rank for row in leaderboard(sweep.plan, records).rows] == [3, 1, 2]


def test_no_average_over_an_incomplete_row():
    tasks = ["mnist", "ptb"]
    sweep = Sweep(ROWS, tasks=tasks)
    records = sweep.records(lambda r: {"sgd": 0.1, "adam": 0.2, "adamp": 0.3}[r.row])
    whole = leaderboard(sweep.plan, records)
    assert [row.mean_rank for row in whole.rows] == [3.0, 2.0, 1.0]
    for lost in (1, 3):
        missing = [r.id for r in sweep.runs(row="adamp", column="ptb")[:lost]]
        board = leaderboard(sweep.plan, [r for r in records if r.id not in missing])
        assert [row.mean_rank is None for row in board.rows] == [False, False, True]


def test_a_diverged_cell_has_the_worst_rank_in_the_average():
    sweep = Sweep(ROWS, tasks=["mnist", "ptb"])
    records = sweep.records(lambda r: DIVERGED if (r.row, r.column) == ("adamp", "ptb") else 0.5 + 0.1 * len(r.row))
    ranks = {row.name: row.mean_rank for row in leaderboard(sweep.plan, records).rows}
    assert ranks["adamp"] == (1 + 3) / 2


numbers = st.one_of(st.floats(-1e6, 1e6), st.just(DIVERGED), st.just(None))
seeds = st.lists(numbers, min_size=3, max_size=3)


@hypothesis_settings(max_examples=40, deadline=None)
@given(seeds, seeds, seeds, seeds)
def test_another_optimizer_changes_no_mean_deviation_or_difference(sgd, adam, adamp, newcomer):
    few = board_of({"sgd": sgd, "adam": adam, "adamp": adamp})
    more = board_of({"sgd": sgd, "adam": adam, "adamp": adamp, "new": newcomer}, {"new": [setting("new")]} | ROWS)
    for row in few.rows:
        same = ("mean", "std", "min", "max", "delta", "n", "n_diverged", "status", "notes")
        before, after = few.cell(row.name, "mnist"), more.cell(row.name, "mnist")
        assert [getattr(before, f) for f in same] == [getattr(after, f) for f in same]


@hypothesis_settings(max_examples=40, deadline=None)
@given(st.permutations(range(9)), seeds, seeds, seeds)
def test_the_order_of_the_records_changes_nothing(order, sgd, adam, adamp):
    sweep = Sweep(ROWS, baseline="sgd")
    values = dict(zip(ROWS, (sgd, adam, adamp), strict=True))
    records = [r for row, v in values.items() for r in sweep.records(counted(*v), row=row)]
    shuffled = [records[i] for i in order if i < len(records)]
    assert leaderboard(sweep.plan, shuffled) == leaderboard(sweep.plan, records)


def test_a_tuned_cell_shows_the_report_seeds_of_the_winner_only():
    settings = [setting("sgd", lr=rate) for rate in (0.01, 0.1, 1.0)]
    sweep = Sweep({"sgd": settings}, tune=[0, 1])
    records = [sweep.record(r, test=0.99, validation=v) for v, s in zip((0.1, 0.9, 0.5), settings, strict=True)
               for r in sweep.runs(role="tune", setting=s)]  # fmt: skip
    records += [sweep.record(r, test=0.4) for r in sweep.runs(role="report", setting=settings[1])]
    records += [sweep.record(r, test=0.8) for r in sweep.runs(role="report", setting=settings[0])]
    cell = leaderboard(sweep.plan, records).cell("sgd", "mnist")
    assert (cell.mean, cell.n, cell.n_planned) == (pytest.approx(0.4), 3, 3)
    assert (cell.setting, cell.hyperparameters) == (digest(settings[1]), {"lr": 0.1})
    assert (cell.settings_tried, cell.edges) == (3, [])
    assert cell.runs == [r.id for r in sweep.runs(role="report", setting=settings[1])]


def test_a_cell_whose_tuning_is_not_complete_shows_no_number():
    sweep = Sweep({"sgd": [setting("sgd", lr=rate) for rate in (0.01, 0.1, 1.0)]}, tune=[0])
    records = [sweep.record(r) for r in sweep.runs(role="tune")[:2]] + sweep.records(lambda r: 0.5, role="report")
    cell = leaderboard(sweep.plan, records).cell("sgd", "mnist")
    assert (cell.status, cell.mean, cell.n_planned, cell.notes) == ("missing", None, 3, ["2 of 3 settings tuned"])


def test_failed_seeds_and_failed_settings_are_marked():
    sweep = Sweep({"sgd": [setting("sgd", lr=rate) for rate in (0.01, 0.1, 1.0)]}, tune=[0])
    records = [sweep.record(r, validation=v) for r, v in zip(sweep.runs(role="tune")[:2], (0.1, 0.9), strict=True)]
    states = {sweep.runs(role="tune")[2].id: State(kind="failed", reason="no memory")}
    chosen = winners(sweep.plan, records, states.keys())["sgd", "mnist"].setting
    reports = sweep.runs(role="report", setting=chosen)
    states[reports[0].id] = State(kind="failed")
    states[reports[1].id] = State(kind="running")
    cell = leaderboard(sweep.plan, [*records, sweep.record(reports[2])], states).cell("sgd", "mnist")
    assert (cell.status, cell.n, cell.n_failed) == ("incomplete", 1, 1)
    assert "1 of 3 settings left out: a tuning run failed" in cell.notes
    assert "1 of 3 seeds failed" in cell.notes


def test_runs_of_several_versions_of_the_code_are_marked():
    sweep = Sweep({"sgd": [SGD]})
    records = sweep.records(counted(0.4, 0.5, 0.6))
    other = msgspec.structs.replace(records[0], provenance={"code": {"tree": "bbbb"}})
    assert leaderboard(sweep.plan, records).cell("sgd", "mnist").notes == []
    assert leaderboard(sweep.plan, [other, *records[1:]]).cell("sgd", "mnist").notes == [
        "runs of 2 versions of the code"
    ]


def test_a_record_that_cannot_be_used_marks_its_cell_and_no_other():
    """No mean mixes problems, settings, seeds, directions or units, or guesses a score that is not there."""
    sweep = Sweep({"sgd": [SGD], "adam": [ADAM]}, baseline="sgd")
    records = sweep.records(counted(0.4, 0.5, 0.6))
    first = records[0]
    scores = first.scores
    for changes in (
        {"seed": 99},
        {"digests": msgspec.structs.replace(first.digests, problem="another")},
        {"digests": msgspec.structs.replace(first.digests, setting="another")},
        {"scores": [msgspec.structs.replace(s, higher_is_better=False) for s in scores]},
        {"scores": [msgspec.structs.replace(s, unit="1") for s in scores]},
        {"scores": scores[1:]},
        {"scores": []},
    ):
        board = leaderboard(sweep.plan, [msgspec.structs.replace(first, **changes), *records[1:]])
        cell = board.cell("sgd", "mnist")
        assert (cell.status, cell.n, cell.n_planned, cell.rank) == ("incomplete", 2, 3, None)
        assert cell.mean == pytest.approx(0.55)
        assert cell.runs == [r.id for r in records[1:3]]
        assert len(cell.faults) == 1
        assert first.id in cell.faults[0]
        assert cell.faults[0] in cell.notes
        assert board.cell("adam", "mnist").status == "complete"


def test_records_that_share_a_fault_share_a_note():
    sweep = Sweep({"sgd": [SGD]})
    records = [msgspec.structs.replace(r, scores=r.scores[1:]) for r in sweep.records(lambda r: 0.5)]
    cell = leaderboard(sweep.plan, records).cell("sgd", "mnist")
    assert (cell.status, cell.n, cell.mean) == ("missing", 0, None)
    assert cell.notes == [
        "0 of 3 seeds done; not ranked",
        "3 of 3 seeds left out: no score 'test/accuracy' (but validation/accuracy); records "
        f"{', '.join(r.id for r in records)}, see `optathlon forget`",
    ]


def test_a_printed_mean_over_tasks_names_the_records_that_cannot_be_used():
    sweep = Sweep({"sgd": [SGD]}, tasks=["mnist", "ptb"])
    printed = TableColumn(label="mean", of=["mnist", "ptb"], metric=ACCURACY, unit="%", higher_is_better=True, digits=2)
    table = Table(columns=[printed], rows=[TableRow(label="SGD", row="sgd")])
    plan = msgspec.structs.replace(sweep.plan, head=msgspec.structs.replace(sweep.plan.head, table=table))
    records = sweep.records(lambda r: 0.5)
    bad = msgspec.structs.replace(records[0], scores=[])
    cell = leaderboard(plan, [bad, *records[1:]], printed=True).rows[0].cells[0]
    assert (cell.status, cell.n, cell.n_planned) == ("incomplete", 2, 3)
    assert bad.id in cell.notes[-1]


def test_one_seed_twice_marks_the_cell():
    sweep = Sweep({"sgd": [SGD]})
    twin = msgspec.structs.replace(sweep.plan.runs[0], id=run_id("twin"))
    plan = msgspec.structs.replace(sweep.plan, runs=[*sweep.plan.runs, twin])
    cell = leaderboard(plan, sweep.records(lambda r: 0.5)).cell("sgd", "mnist")
    assert (cell.status, cell.mean) == ("missing", None)
    assert cell.notes == [f"runs {sweep.plan.runs[0].id} and {twin.id} are both of seed 10: no mean can be taken"]


def test_a_run_planned_for_another_problem_than_its_column_marks_the_cell():
    sweep = Sweep({"sgd": [SGD]})
    stray = msgspec.structs.replace(sweep.plan.runs[0], problem="another")
    plan = msgspec.structs.replace(sweep.plan, runs=[stray, *sweep.plan.runs[1:]])
    assert leaderboard(plan, []).cell("sgd", "mnist").faults == [
        f"runs {stray.id} of another problem or setting than the rest: no mean can be taken"
    ]


def test_a_cell_whose_settings_all_failed_is_missing_and_says_why():
    sweep = Sweep({"sgd": [SGD]}, tune=[0])
    states = {r.id: State(kind="failed") for r in sweep.runs(role="tune")}
    cell = leaderboard(sweep.plan, [], states).cell("sgd", "mnist")
    assert (cell.status, cell.n_planned) == ("missing", 3)
    assert cell.notes == ["1 of 1 settings left out: a tuning run failed"]


def test_two_settings_in_a_cell_without_tuning_mark_it():
    cell = leaderboard(Sweep({"sgd": [SGD, setting("sgd", lr=0.2)]}).plan, []).cell("sgd", "mnist")
    assert "another problem or setting than the rest" in cell.faults[0]


def test_two_records_under_one_id_are_refused():
    with pytest.raises(StoreError, match="two different"):
        leaderboard(Sweep({"sgd": [SGD]}).plan, [record(0.1), record(0.2)])


def test_the_board_is_the_same_with_without_and_after_the_index(tmp_path):
    sweep, store = Sweep(ROWS, tasks=["mnist", "ptb"], baseline="sgd"), Store(tmp_path / "store")
    for r in sweep.records(lambda r: 0.01 * r.seed + 0.1 * len(r.row)):
        store.commit(r)
    store.put_plan(sweep.plan, b"")

    def board():
        reader = Store(store.root)
        return leaderboard(reader.plan("sweep"), reader.records(), reader.states(r.id for r in sweep.plan.runs))

    before = board()
    store.compact()
    assert board() == before
    shutil.rmtree(store.root / "index")
    assert board() == before


def test_a_store_without_plans_has_a_row_a_setting_and_a_column_a_problem():
    records = [
        record(value, of_problem=p, of_setting=s, seed=seed)
        for p in (problem("mnist"), problem("mnist", edition="standin-1"), problem("ptb", "paper"))
        for s, value in ((setting("sgd", lr=0.1), 0.1), (setting("sgd", lr=0.3), 0.3), (ADAM, 0.2))
        for seed in (0, 1)
    ]
    board = leaderboard_of_records(records)
    assert [c.label for c in board.columns] == ["mnist [smoke, standin-1]", "mnist [smoke]", "ptb"]
    assert [r.name for r in board.rows] == ["adam", "sgd lr=0.1", "sgd lr=0.3"]
    cell = board.cell("sgd lr=0.3", "ptb")
    assert (cell.mean, cell.n, cell.rank, cell.hyperparameters) == (pytest.approx(0.3), 2, 1, {"lr": 0.3})


def test_problems_and_settings_that_differ_elsewhere_get_names_that_say_where():
    longer = problem() | {"protocol": {"length": 92}}
    constant = setting("sgd") | {"protocol": {"schedule": {"kind": "constant"}}}
    board = leaderboard_of_records([record(), record(of_problem=longer), record(of_setting=constant)])
    assert [c.label for c in board.columns] == ["mnist [smoke] protocol.length=2", "mnist [smoke] protocol.length=92"]
    assert [r.name for r in board.rows] == ["sgd", "sgd protocol.schedule.kind=constant"]


def test_of_records_that_disagree_about_the_headline_most_decide_and_the_others_are_named():
    other = record(
        seed=2, headline="test/top_3", scores=[Score(name="test/top_3", unit="%", higher_is_better=True, value=1.0)]
    )
    board = leaderboard_of_records([other, record(), record(seed=1)])
    assert [(c.metric, c.unit) for c in board.columns] == [(ACCURACY, "%")]
    (cell,) = board.rows[0].cells
    assert (cell.status, cell.n, cell.seeds) == ("incomplete", 2, [0, 1])
    assert other.id in cell.notes[-1]


def test_no_records_make_an_empty_board():
    board = leaderboard_of_records([])
    assert (board.rows, board.columns) == ([], [])


def test_a_problem_on_which_all_diverged_has_a_column():
    board = leaderboard_of_records([record(DIVERGED, scores=[])])
    assert board.rows[0].cells[0].status == "diverged"


def test_pandas_gets_the_long_table():
    frame = board_of({"sgd": [0.5] * 3, "adam": [0.6] * 3}).to_pandas()
    assert list(frame["row"]) == ["sgd", "adam", "adamp"]
    assert frame["mean"].tolist()[:2] == [pytest.approx(0.5), pytest.approx(0.6)]
    assert frame["mean"].isna().tolist() == [False, False, True]
