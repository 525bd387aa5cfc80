"""What is said over all tasks is said of rows that have them all, by the statistics it names."""

from __future__ import annotations

import random

import msgspec
import pytest
from scipy import stats

from optathlon.results import leaderboard
from optathlon.results.analysis.against_baseline import against
from optathlon.results.analysis.over_tasks import overall
from optathlon.results.board.plan_part import PlanPart
from optathlon.results.statistics.iqm import iqm
from optathlon.results.statistics.planner import pooled_deviation
from optathlon.results.statistics.ranking import critical_difference, friedman
from tests.results.make import DIVERGED, Sweep, counted, setting

TASKS = ("mnist", "ptb", "cars", "cub", "mtat")
ROWS = {name: [setting(name, lr=0.1)] for name in ("sgd", "adam", "adamp", "lion")}
BETTER = {"sgd": 0.0, "adam": 0.5, "adamp": 3.0, "lion": -1.0}


def simulated(seed=0, better=BETTER, tasks=TASKS, report=range(4), **options):
    chance = random.Random(seed)
    sweep = Sweep({name: ROWS[name] for name in better}, tasks=tasks, baseline="sgd", report=report)
    records = sweep.records(lambda r: 50 + 5 * tasks.index(r.column) + better[r.row] + chance.gauss(0, 1))
    return sweep, leaderboard(sweep.plan, records, **options)


def without(sweep, board_records, row, column):
    lost = {run.id for run in sweep.runs(row=row, column=column)}
    return [record for record in board_records if record.id not in lost]


def test_ranks_friedman_and_the_critical_difference_are_those_of_the_statistics():
    _, board = simulated()
    ranking = overall(board)
    ranks = {row.name: [cell.rank for cell in row.cells] for row in board.rows}
    assert {row.name: row.ranks for row in ranking.rows} == ranks
    assert [row.name for row in ranking.rows] == sorted(ranks, key=lambda name: sum(ranks[name]))
    assert ranking.friedman == pytest.approx(friedman(ranks))
    assert ranking.critical_difference == pytest.approx(critical_difference(4, 5))
    assert ranking.tasks == [column.label for column in board.columns]


def test_the_interquartile_mean_is_in_seed_deviations_above_the_baseline():
    _, board = simulated()
    expected = []
    for at in range(len(TASKS)):
        spread = pooled_deviation([row.cells[at].finite for row in board.rows])
        base, ours = (board.cell(name, TASKS[at]) for name in ("sgd", "adamp"))
        expected.append([(value - base.mean) / spread for value in ours.finite])
    rows = {row.name: row for row in overall(board).rows}
    assert rows["adamp"].iqm == pytest.approx(iqm(expected))
    assert rows["adamp"].iqm_low < rows["adamp"].iqm < rows["adamp"].iqm_high
    assert 2 < rows["adamp"].iqm < 4
    assert abs(rows["sgd"].iqm) < 0.5


def test_each_row_meets_the_baseline_on_all_tasks():
    _, board = simulated()
    rows = {row.name: row for row in overall(board).rows}
    shown = sum(cell.p_holm < 0.05 for cell in next(row for row in board.rows if row.name == "adamp").cells)
    assert (rows["adamp"].wins, rows["adamp"].losses, rows["adamp"].ties) == (shown, 0, 5 - shown)
    assert 1 <= shown < 5
    assert rows["adamp"].standardized.low > 0
    assert rows["adamp"].wilcoxon_least == 2 / 2**5
    assert rows["adamp"].improvement > 0.95
    assert rows["adamp"].wilcoxon == pytest.approx(2 / 2**5)
    assert rows["adamp"].wilcoxon_holm == pytest.approx(3 * rows["adamp"].wilcoxon)
    assert (rows["sgd"].improvement, rows["sgd"].wilcoxon) == (None, None)


def test_a_run_that_diverged_loses_to_all_others_and_is_in_no_mean():
    sweep = Sweep({"sgd": ROWS["sgd"], "adam": ROWS["adam"]}, tasks=TASKS[:2], baseline="sgd")
    values = {"sgd": [1.0, 2.0, 3.0], "adam": [9.0, DIVERGED, DIVERGED]}
    records = [
        r for name, v in values.items() for t in TASKS[:2] for r in sweep.records(counted(*v), row=name, column=t)
    ]
    found = {row.name: row for row in overall(leaderboard(sweep.plan, records)).rows}
    assert found["adam"].improvement == pytest.approx(1 / 3)
    assert (found["adam"].iqm, found["adam"].wilcoxon) == (None, None)


def test_rows_that_lack_a_task_are_left_out_and_change_no_aggregate():
    _, whole = simulated(better={k: v for k, v in BETTER.items() if k != "adamp"})
    with_adamp, _ = simulated()
    chance = random.Random(1)
    records = with_adamp.records(
        lambda r: None if (r.row, r.column) == ("adamp", "cub") else
        99 + chance.gauss(0, 1) if r.row == "adamp" else
        whole.cell(r.row, r.column).values[list(range(4)).index(r.seed)]
    )  # fmt: skip
    board = leaderboard(with_adamp.plan, records)
    assert overall(board).left_out == ["adamp"]
    assert {r.name: r.mean_rank for r in board.rows} == {r.name: r.mean_rank for r in whole.rows} | {"adamp": None}
    assert [row.mean_rank for row in overall(board).rows] == [row.mean_rank for row in overall(whole).rows]


def test_on_common_is_what_all_rows_have_and_on_names_is_what_was_named():
    sweep, _ = simulated()
    records = without(sweep, sweep.records(lambda r: float(len(r.row))), "adamp", "cub")
    common = leaderboard(sweep.plan, records, on="common")
    assert common.on == ["mnist", "ptb", "cars", "mtat"]
    assert all(row.mean_rank is not None for row in common.rows)
    named = leaderboard(sweep.plan, records, on=["cub", "mnist"])
    assert named.on == ["mnist", "cub"]
    assert [row.name for row in named.rows if row.mean_rank is None] == ["adamp"]
    assert overall(named).tasks == [c.label for c in named.columns if c.name in ("cub", "mnist")]


def test_without_a_common_task_there_is_no_aggregate():
    sweep, _ = simulated(tasks=TASKS[:2])
    records = without(sweep, sweep.records(lambda r: 0.5), "adam", "mnist")
    board = leaderboard(sweep.plan, without(sweep, records, "sgd", "ptb"), on="common")
    assert (board.on, [row.mean_rank for row in board.rows]) == ([], [None] * 4)
    assert overall(board).rows == []


def test_a_part_has_the_same_cells_and_the_family_of_the_whole_plan():
    sweep, board = simulated()
    records = sweep.records(lambda r: board.cell(r.row, r.column).values[r.seed])
    few = leaderboard(sweep.plan, records, part=PlanPart(columns={"mnist", "cub"}, rows={"sgd", "adamp"}))
    assert ([r.name for r in few.rows], [c.name for c in few.columns]) == (["sgd", "adamp"], ["mnist", "cub"])
    assert (few.family, board.family) == (15, 15)
    assert (few.plan_shape, board.plan_shape) == ((4, 5), (4, 5))
    for field in ("mean", "std", "delta", "delta_lo", "delta_hi", "p", "p_holm", "values"):
        assert getattr(few.cell("adamp", "cub"), field) == getattr(board.cell("adamp", "cub"), field)


def test_the_best_of_a_part_is_among_its_rows():
    sweep, board = simulated()
    records = sweep.records(lambda r: board.cell(r.row, r.column).values[r.seed])
    few = leaderboard(sweep.plan, records, part=PlanPart(columns=set(TASKS), rows={"adam", "lion"}))
    assert all(sum(row.cells[at].best for row in few.rows) == 1 for at in range(len(TASKS)))
    assert sorted(row.cells[0].rank for row in few.rows) == [1, 2]
    assert few.baseline is None
    assert all((cell.delta, cell.p) == (None, None) for row in few.rows for cell in row.cells)


def test_differences_are_the_cells_and_dunnetts():
    _, board = simulated()
    differences = {(difference.task, difference.row): difference for difference in against(board)}
    assert len(differences) == 15
    label = board.columns[1].label
    difference, cell = differences[label, "adamp"], board.cell("adamp", "ptb")
    assert (difference.delta, difference.p_holm) == (cell.delta, cell.p_holm)
    assert (difference.low, difference.high) == (cell.delta_lo, cell.delta_hi)
    samples = [board.cell(name, "ptb").finite for name in ("adam", "adamp", "lion")]
    expected = stats.dunnett(*samples, control=board.cell("sgd", "ptb").finite)
    assert difference.dunnett.p == pytest.approx(expected.pvalue[1], abs=1e-3)
    assert difference.dunnett.low < difference.delta < difference.dunnett.high


def test_what_is_not_complete_is_not_among_the_differences():
    sweep, board = simulated(tasks=("mnist",))
    records = [r for r in sweep.records(lambda r: float(r.seed)) if r.id != sweep.runs(row="adam")[0].id]
    assert {each.row for each in against(leaderboard(sweep.plan, records))} == {"adamp", "lion"}
    no_base = msgspec.structs.replace(board, baseline=None)
    assert against(no_base) == []


def test_of_equal_optimizers_wilcoxon_over_tasks_is_wrong_in_one_board_of_twenty_at_most():
    tasks = tuple(f"task-{n}" for n in range(8))
    equal = {"sgd": 0.0, "adam": 0.0, "adamp": 0.0}
    wrong = 0
    for seed in range(8):
        _, board = simulated(seed, equal, tasks=tasks, report=range(2))
        wrong += any((row.wilcoxon_holm or 1.0) < 0.05 for row in overall(board).rows)
    assert wrong <= stats.binom.ppf(0.999, 8, 0.05)
