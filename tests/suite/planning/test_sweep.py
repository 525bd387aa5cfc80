"""A sweep file says what it says or is refused in one line that names file, field, value and what would be right."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from optathlon import tasks
from optathlon.optimizers import Grid
from optathlon.suite.errors import SweepError
from optathlon.suite.planning import sweep, sweep_reader
from optathlon.suite.planning.plan import expand
from tests.miniatures import put_miniatures
from tests.suite import command_server
from tests.suite.planning.planned import planned
from tests.suite.sweeps import SWEEP, environment, write


def test_options_by_tag_of_a_protocol_are_written_as_those_of_an_optimizer(tmp_path):
    (problem,) = planned(tmp_path, "protocol.tags.norm.weight_decay = 0.0\n" + SWEEP).head.problems.values()
    assert problem["protocol"]["tags"] == {"norm.weight_decay": 0.0}


def test_probes_of_the_sweep_and_of_an_optimizer_belong_to_its_settings(tmp_path):
    plain = planned(tmp_path)
    probed = planned(tmp_path, 'probes = ["oscillation"]\n' + SWEEP + 'probes = ["layers", "oscillation"]\n')
    by_optimizer = {s["optimizer"]: s["probes"] for s in probed.head.settings.values()}
    assert by_optimizer == {"sgd": ["oscillation"], "adamw": ["layers", "oscillation"]}
    assert not {run.id for run in plain.runs} & {run.id for run in probed.runs}


def test_a_byte_order_mark_and_windows_line_ends_change_nothing(tmp_path):
    digest = planned(tmp_path).head.digest
    (tmp_path / "sweep.toml").write_bytes(b"\xef\xbb\xbf" + SWEEP.replace("\n", "\r\n").encode())
    assert expand(sweep_reader.load(tmp_path / "sweep.toml"), tmp_path / "data").head.digest == digest
    assert sweep_reader.name_of(str(tmp_path / "sweep.toml")) == "toys"


def test_every_combination_of_task_setting_and_seed_is_a_run(tmp_path):
    plan = planned(tmp_path, SWEEP.replace("fixed.lr = 0.1", "grid.lr = [0.1, 0.2, 0.3]"))
    assert len(plan.runs) == (3 + 1) * 2
    assert [row.name for row in plan.head.rows] == ["sgd lr=0.1", "sgd lr=0.2", "sgd lr=0.3", "adamw"]
    assert plan.head.baseline == "sgd lr=0.1"


def test_tuning_seeds_make_settings_candidates_of_one_row(tmp_path):
    text = SWEEP.replace("fixed.lr = 0.1", "grid.lr = [0.1, 0.2]").replace("[0, 1]", "{tune = [0], report = [5, 6]}")
    plan = planned(tmp_path, text)
    assert [row.name for row in plan.head.rows] == ["sgd", "adamw"]
    assert sorted((r.role, r.seed) for r in plan.runs if r.row == "sgd") == sorted(
        [("tune", 0)] * 2 + [("report", 5), ("report", 6)] * 2
    )


def test_tuning_never_uses_the_test_split(tmp_path):
    """A task without a published validation split gets a carved one, in both stages."""
    text = SWEEP.replace("toy:TASK", "toy:PLAIN")
    (problem,) = planned(tmp_path, text).head.problems.values()
    assert problem["protocol"]["holdout"] == "none"
    (problem,) = planned(tmp_path, text.replace("[0, 1]", "{tune = [0], report = [1]}")).head.problems.values()
    assert problem["protocol"]["holdout"] == "carved"
    assert "validation" in problem["protocol"]["watch"]


def test_a_plan_depends_on_the_sweep_alone(tmp_path):
    assert planned(tmp_path).head.digest == planned(tmp_path).head.digest
    assert planned(tmp_path).runs == planned(tmp_path).runs


def test_adding_a_seed_keeps_the_other_runs(tmp_path):
    before = {r.id for r in planned(tmp_path).runs}
    after = {r.id for r in planned(tmp_path, SWEEP.replace("[0, 1]", "[0, 1, 2]")).runs}
    assert before < after
    assert len(after) == 6


def test_an_override_changes_one_task_and_one_optimizer(tmp_path):
    text = (
        SWEEP.replace('"toy:TASK"', '"toy:TASK", "toy:PLAIN"') + '\n[override."toy:PLAIN".sgd]\ngrid.lr = [0.2, 0.3]\n'
    )
    plan = planned(tmp_path, text)
    rates = {
        column: sorted(
            {
                plan.head.settings[r.setting]["hyperparameters"]["lr"]
                for r in plan.runs
                if r.column == column and r.row.startswith("sgd")
            }
        )
        for column in ("toy:TASK", "toy:PLAIN")
    }
    assert rates == {"toy:TASK": [0.1], "toy:PLAIN": [0.2, 0.3]}


def test_a_protocol_of_a_task_is_its_problem_and_one_of_an_optimizer_its_setting(tmp_path):
    text = SWEEP.replace('name = "adamw"', 'name = "adamw"\nprotocol.length = 2')
    plan = planned(tmp_path, text + '\n[override."toy:TASK".protocol]\nlength = 5\n')
    (problem,) = plan.head.problems.values()
    assert problem["protocol"]["length"] == 5
    assert [s["protocol"] for s in plan.head.settings.values()] == [{}, {"length": 2}]
    assert plan.head.rows[1].notes == ["protocol differs: length = 2"]


def test_one_and_one_point_zero_in_a_protocol_are_one_setting(tmp_path):
    with_integer = SWEEP.replace('name = "adamw"', 'name = "adamw"\nprotocol.clip_norm = 1')
    assert {r.id for r in planned(tmp_path, with_integer).runs} == {
        r.id for r in planned(tmp_path, with_integer.replace("clip_norm = 1", "clip_norm = 1.0")).runs
    }


def test_a_pair_that_cannot_run_is_refused_with_the_reason(tmp_path):
    (tmp_path / "mine.py").write_text(
        "from optathlon.optimizers.spec import Hyperparameter, OptimizerSpec\n"
        'SPEC = OptimizerSpec(name="mine", factory="torch.optim:LBFGS", flags=frozenset({"closure"}),'
        ' hyperparameters={"lr": Hyperparameter("float", 1.0)})\n'
    )
    text = SWEEP.replace('name = "sgd"\nfixed.lr = 0.1\nfixed.momentum = 0.9', 'name = "mine:SPEC"')
    planned(tmp_path, text)
    with pytest.raises(SweepError, match=r"cannot run toy:TASK: .* fp16"):
        planned(tmp_path, text.replace("[[optimizer]]", 'protocol.precision = "fp16"\n[[optimizer]]', 1))


def test_grid_default_takes_the_grid_that_comes_with_the_optimizer(tmp_path):
    from optathlon.optimizers import default_grid, optimizer

    plan = planned(tmp_path, SWEEP.replace('name = "adamw"\nfixed.lr = 1e-2', 'name = "adamw"\ngrid = "default"'))
    assert len([s for s in plan.head.settings.values() if s["optimizer"] == "adamw"]) == len(
        default_grid("adamw").settings(optimizer("adamw"))
    )


def test_the_data_edition_is_part_of_the_problem_and_of_the_label(tmp_path):
    text = SWEEP.replace("toy:TASK", "biased-mnist-0.990")
    data = tmp_path / "data"
    official = planned(tmp_path, text)
    tasks.dataset("mnist")
    put_miniatures(data, "mnist")
    miniature = planned(tmp_path, text)
    assert {r.id for r in official.runs}.isdisjoint(r.id for r in miniature.runs)
    assert official.head.columns[0].label == "biased-mnist-0.990 [smoke]"
    assert miniature.head.columns[0].label == "biased-mnist-0.990 [smoke, miniature-1]"


def test_grids_merge_by_key():
    merged = sweep.overridden({"fixed": {"lr": 0.1, "momentum": 0.9}}, {"grid": {"lr": [1.0, 2.0]}})
    assert Grid.parse(merged, "here").fixed == {"momentum": 0.9}
    assert Grid.parse(merged, "here").grid == {"lr": [1.0, 2.0]}


def test_an_override_of_one_option_by_tag_keeps_the_others(tmp_path):
    text = SWEEP.replace("fixed.lr = 1e-2", "grid.gain = {weight_decay = [0.0, 1.0], lr_scale = [0.5, 1.0]}")
    text += '\n[override."toy:TASK".adamw]\nfixed.gain.weight_decay = 0.5\n'
    plan = planned(tmp_path, text)
    found = [s["hyperparameters"] for s in plan.head.settings.values() if s["optimizer"] == "adamw"]
    assert sorted((f["gain.weight_decay"], f["gain.lr_scale"]) for f in found) == [(0.5, 0.5), (0.5, 1.0)]


def test_the_baseline_is_the_label_and_not_what_begins_like_it(tmp_path):
    text = SWEEP.replace('name = "adamw"', 'name = "adamw"\nlabel = "sgd fast"')
    blocks = text.split("[[optimizer]]")
    swapped = blocks[0] + 'baseline = "sgd"\n' + "".join(f"[[optimizer]]{b}\n" for b in (blocks[2], blocks[1]))
    assert planned(tmp_path, swapped).head.baseline == "sgd"


def test_settings_that_differ_little_are_rows_of_their_own(tmp_path):
    plan = planned(tmp_path, SWEEP.replace("fixed.lr = 0.1", "grid.lr = [1e-2, 1.0000001e-2]"))
    assert [row.name for row in plan.head.rows][:2] == ["sgd lr=0.01", "sgd lr=0.010000001"]


def test_a_row_belongs_to_one_optimizer(tmp_path):
    text = SWEEP.replace("fixed.lr = 0.1", "grid.lr = [0.1, 0.2]").replace(
        'name = "adamw"', 'name = "adamw"\nlabel = "sgd lr=0.1"'
    )
    with pytest.raises(SweepError, match=r"row 'sgd lr=0.1' is also one of 'sgd'; give it another label"):
        planned(tmp_path, text)


def test_tuning_always_watches_what_it_selects_on(tmp_path):
    text = SWEEP.replace("[0, 1]", "{tune = [0], report = [1]}")
    unwatched = text + '\n[protocol]\nwatch = []\ncheckpoint = "last"\n'
    (problem,) = planned(tmp_path, unwatched).head.problems.values()
    assert list(problem["protocol"]["watch"]) == ["validation"]
    own = text.replace('name = "adamw"', 'name = "adamw"\nprotocol.watch = []\nprotocol.checkpoint = "last"')
    with pytest.raises(SweepError, match=r"protocol.watch: must name validation"):
        planned(tmp_path, own)


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ('["toy:TASK"]', ["toy [smoke]"]),
        ('["toy:TASK", "toy:PLAIN"]', ["toy [smoke]", "plain [smoke]"]),
        ('["toy:TASK", "toy:SAME"]', ["toy:TASK [smoke]", "toy:SAME [smoke]"]),
        ('["toy:BORROWED"]', ["toy:BORROWED [smoke]"]),
    ],
    ids=["its own name", "each its own", "two of one name", "the name of a built-in task"],
)
def test_a_column_shows_the_name_that_a_users_task_gives_itself_unless_another_has_it(names, labels, tmp_path):
    write(tmp_path, SWEEP.replace('["toy:TASK"]', names))
    with (tmp_path / "toy.py").open("a") as file:
        file.write('SAME = _task("toy", BASE)\nBORROWED = _task("ptb-awd-lstm", BASE)\n')
    done = command_server.run_code(PRINT_LABELS, tmp_path, environment())
    assert done.stdout.splitlines() == labels, done.stderr


PRINT_LABELS = """
from pathlib import Path
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.sweep_reader import load

for column in expand(load(Path("sweep.toml")), Path("data")).head.columns:
    print(column.label)
"""

TWO_TASKS = SWEEP.replace('"toy:TASK"', '"toy:TASK", "toy:PLAIN"')


def test_a_task_is_run_by_the_optimizers_that_it_names(tmp_path):
    plan = planned(tmp_path, f'{TWO_TASKS}\n[override."toy:PLAIN"]\noptimizers = ["adamw"]\n')
    assert Counter((run.column, run.row) for run in plan.runs) == {
        ("toy:TASK", "sgd"): 2,
        ("toy:TASK", "adamw"): 2,
        ("toy:PLAIN", "adamw"): 2,
    }
    assert [row.name for row in plan.head.rows] == ["sgd", "adamw"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ('"toy:TASK".optimizers = ["sdg"]', "toy:TASK.optimizers: 'sdg' is none of this sweep's optimizers"),
        ('"toy:TASK".optimizers = []', "toy:TASK.optimizers: must be a list of this sweep's optimizers, not []"),
        ('"toy:TASK".optimizers = ["adamw"]', "'sgd' runs no task; leave its block out"),
        ('"toy:TASK".sgd.protocol = 3', "toy:TASK.sgd.protocol: must be a table, not 3"),
    ],
)
def test_what_an_override_of_optimizers_cannot_mean_is_refused(tmp_path, override, said):
    with pytest.raises(SweepError, match=re.escape(said)):
        planned(tmp_path, f"{SWEEP}\n[override]\n{override}\n")


def test_what_an_optimizer_changes_in_a_protocol_can_be_another_for_one_task(tmp_path):
    text = TWO_TASKS.replace('name = "sgd"', 'name = "sgd"\nprotocol.length = 2\nprotocol.clip_norm = 1.0', 1)
    plan = planned(tmp_path, f'{text}\n[override."toy:PLAIN"]\nsgd.protocol.length = 3\n')
    lengths = {run.column: plan.head.settings[run.setting]["protocol"] for run in plan.runs if run.row == "sgd"}
    assert lengths["toy:TASK"] == {"length": 2, "clip_norm": 1.0}
    assert lengths["toy:PLAIN"] == {"length": 3, "clip_norm": 1.0}
    assert plan.head.rows[0].notes == [
        "protocol differs: length = 2, clip_norm = 1.0",
        "protocol differs: length = 3, clip_norm = 1.0 on toy:PLAIN",
    ]
