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
from tests.suite import command_server
from tests.suite.sweeps import SWEEP, environment, write


def load(folder, text=SWEEP):
    return sweep_reader.load(write(folder, text))


def planned(folder, text=SWEEP):
    return expand(load(folder, text), folder / "data")


BAD = {
    "unknown task": ('tasks = ["ptb-awd-lsm"]', "tasks[0]: unknown task 'ptb-awd-lsm' (did you mean ptb-awd-lstm?)"),
    "no task matches": ('tasks = ["biased-mnost-*"]', "no task matches 'biased-mnost-*' (did you mean biased-mnist"),
    "task twice": ('tasks = ["toy:TASK", "toy:TASK"]', "tasks: 'toy:TASK' stands twice"),
    "tasks not a list": ('tasks = "toy:TASK"', "tasks: must be a list of task names"),
    "no module": ('tasks = ["nowhere:TASK"]', "tasks[0]: nowhere:TASK: No module named 'nowhere'"),
    "not a task": ('tasks = ["toy:BASE"]', "toy:BASE: is a Protocol, not a Task"),
    "unknown optimizer": (
        'optimizer = [{name = "adamm"}]',
        "optimizer[0]: unknown optimizer 'adamm' (did you mean adam",
    ),
    "no optimizer": ("optimizer = []", "optimizer: must be one or more [[optimizer]] blocks"),
    "unknown hyperparameter": ('optimizer = [{name = "sgd", fixed = {lrr = 1.0}}]', "'lrr' (did you mean lr?)"),
    "wrong type": ('optimizer = [{name = "sgd", fixed = {lr = "fast"}}]', "lr = 'fast': must be a number"),
    "boolean rate": ('optimizer = [{name = "sgd", fixed = {lr = true}}]', "lr = True: must be a number"),
    "not finite": ('optimizer = [{name = "sgd", fixed = {lr = inf}}]', "lr = inf: must be finite"),
    "empty grid": ('optimizer = [{name = "sgd", grid = {lr = []}}]', "grid.lr must be a list of values to try, not []"),
    "zip beside the default grid": (
        'optimizer = [{name = "adamw", grid = "default", zip = [{eps = 1e-3}]}]',
        'optimizer[0].zip: stands beside grid = "default"',
    ),
    "random beside the default grid": (
        'optimizer = [{name = "adamw", grid = "default", random = {trials = 2, seed = 1, eps = {log = [1e-9, 1e-8]}}}]',
        'optimizer[0].random: stands beside grid = "default"',
    ),
    "random without a seed": (
        'optimizer = [{name = "sgd", random = {trials = 2, lr = {log = [0.1, 1]}}}]',
        "random.seed must be an integer of at least 0, not None",
    ),
    "looks without an end": ("seeds = {report = {first = 3}}", "seeds.report.most: must be a whole number"),
    "same setting twice": ('optimizer = [{name = "sgd", grid = {lr = [1, 1.0]}}]', "two settings are the same"),
    "same label twice": ('optimizer = [{name = "sgd"}, {name = "sgd"}]', "label: 'sgd' stands twice"),
    "more settings than memory": (
        f"optimizer = [{{name = 'sgd', grid = {{lr = {[*range(1, 1001)]}, momentum = {[*range(200)]}}}}}]",
        "optimizer[0]: sgd has 200,000 settings; a sweep lists at most 100,000",
    ),
    "more draws than memory": (
        "optimizer = [{name = 'sgd', random = {trials = 10000000000, seed = 0, lr = {log = [1e-3, 1]}}}]",
        "optimizer[0]: sgd has 10,000,000,000 settings; a sweep lists at most 100,000",
    ),
    "value that is an empty table": (
        "optimizer = [{name = 'sgd', fixed = {lr = {}}}]",
        "optimizer[0].fixed.lr: is an empty table; it must have a value",
    ),
    "summary is no text": ("summary = 3", "summary: must be text, not 3"),
    "unknown key": ("optimiser = 1", "optimiser: unknown (did you mean optimizer?)"),
    "unknown scale": ('scale = "smok"', "scale: 'smok' is not a scale (did you mean smoke?)"),
    "scale it lacks": ('scale = "mini"', "has no scale 'mini'"),
    "overlapping seeds": ("seeds = {tune = [0, 1], report = [1, 2]}", "seeds: 1 both tunes and reports"),
    "no report": ("seeds = {tune = [0]}", "seeds: there must be at least one seed to report"),
    "seed twice": ("seeds = [1, 1]", "seeds: 1 stands twice"),
    "seed not a number": ('seeds = ["a"]', "seeds: must be a list of whole numbers"),
    "negative seed": ("seeds = [-1]", "seeds: must be a list of whole numbers"),
    "unknown baseline": (
        'baseline = "sgdd"',
        "baseline: 'sgdd' is none of this sweep's optimizers (did you mean sgd?)",
    ),
    "name with a slash": ('name = "../x"', "name: '../x' must consist of letters"),
    "unknown protocol": ("protocol.lenght = 3", "protocol.lenght: unknown (did you mean length?)"),
    "protocol of wrong type": ('protocol.length = "long"', "protocol.length: Expected `int`, got `str`"),
    "override of no task": ('override."toi".sgd.fixed.lr = 1.0', "override.toi: is none of this sweep's tasks"),
    "override of no optimizer": (
        'override."toy:TASK".sdg.fixed.lr = 1.0',
        "override.toy:TASK.sdg: unknown (did you mean sgd?)",
    ),
    "unreadable": ("tasks = [", "unreadable"),
    "nested too deeply": (f"x = {'[' * 5000}", "unreadable"),
    "not finite in a protocol": ("protocol.clip_norm = inf", "protocol.clip_norm: inf must be finite"),
    "unknown metric": (
        'protocol.select = {metric = "los", higher_is_better = false}',
        "protocol.select.metric: 'los' is none of its metrics (did you mean loss?)",
    ),
    "unknown tag": ('protocol.tags = {"nrm.lr_scale" = 2.0}', "nrm.lr_scale: unknown tag 'nrm' (did you mean norm?)"),
    "tag without an option": ("protocol.tags.norm = 2.0", "protocol.tags.norm: must name an option of the tag too"),
    "tag's option that no optimizer has": (
        'override."toy:TASK".protocol.tags.norm.weight_dcay = 0.0',
        "override.toy:TASK.protocol.tags.norm.weight_dcay: no optimizer here has an option 'weight_dcay' (did you mean",
    ),
    "tag of wrong type": ('protocol.tags = {"norm.lr_scale" = "x"}', "norm.lr_scale = 'x': must be a number"),
    "grid is no table": ("optimizer = [{name = 'sgd', grid = 3}]", "grid must be a table, not 3"),
    "override is no table": (
        'override."toy:TASK".sgd.fixed = 3',
        "override.toy:TASK.sgd.fixed: must be a table, not 3",
    ),
    "label that is a word of the format": ("optimizer = [{name = 'sgd', label = 'protocol'}]", "label: must be text"),
    "label over two lines": ('optimizer = [{name = "sgd", label = "a\\nb"}]', "label: must be text on one line"),
    "name that is no folder everywhere": ('name = "größe"', "name: 'größe' must consist of letters (a to z)"),
    "module that cannot be imported": ('tasks = ["broken:TASK"]', "broken:TASK: importing it raised SyntaxError"),
    "probe that is unknown": (
        'probes = ["oscilation"]',
        "probes: 'oscilation' is unknown (did you mean",
    ),
    "probes that are one word": ('probes = "layers"', "probes: must be a list of names"),
    "probe of an optimizer that is unknown": (
        "optimizer = [{name = 'sgd', probes = ['q']}]",
        "optimizer[0].probes: 'q' is unknown",
    ),
    "cluster of an optimizer that is the whole sweep's": (
        "optimizer = [{name = 'sgd', cluster = {workers = 3}}]",
        "optimizer[0].cluster.workers: unknown",
    ),
    "settings that cannot run": (
        'tasks = ["biased-mnist-0.990"]\nprotocol.settings.sigma = 0.0',
        "biased-mnist-0.990: protocol.settings.sigma: Expected `float` > 0.0, not 0.0",
    ),
}


def changed(change: str) -> str:
    """SWEEP with the line `change` in place of its own of that key."""
    key = change.partition("=")[0].strip().partition(".")[0]
    blocks = SWEEP.split("[[optimizer]]")
    kept = [line for line in blocks[0].splitlines() if not line.startswith(f"{key} =")]
    rest = "" if key == "optimizer" else "".join(f"[[optimizer]]{block}" for block in blocks[1:])
    return "\n".join([*kept, change, rest])


@pytest.mark.parametrize("case", BAD)
def test_a_bad_sweep_is_one_clear_line(case, tmp_path):
    change, expected = BAD[case]
    (tmp_path / "broken.py").write_text("def (")
    with pytest.raises(SweepError) as caught:
        planned(tmp_path, changed(change))
    message = str(caught.value)
    assert expected in message
    assert "sweep.toml" in message
    assert "\n" not in message.strip() or case == "unreadable"


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
    from optathlon.tasks.data.dataset import build

    build(tasks.dataset("mnist"), data, "miniature")
    miniature = planned(tmp_path, text)
    assert {r.id for r in official.runs}.isdisjoint(r.id for r in miniature.runs)
    assert official.head.columns[0].label == "biased-mnist-0.990 [smoke]"
    assert miniature.head.columns[0].label == "biased-mnist-0.990 [smoke, miniature-1]"


@pytest.mark.parametrize("name", sweep_reader.built_in())
def test_every_built_in_sweep_can_be_planned(name, tmp_path):
    plan = expand(sweep_reader.load(sweep_reader.find(name)), tmp_path)
    assert plan.runs
    assert plan.head.name == sweep_reader.name_of(name)
    assert "/" not in plan.head.name


def test_built_in_sweeps_lie_in_folders_and_are_found_by_place_or_by_the_name_they_have_in_a_store():
    assert {"quickstart", "adarem/table-3"} <= set(sweep_reader.built_in())
    assert sweep_reader.find("adarem/table-3") == sweep_reader.find("adarem-ptb")
    assert sweep_reader.name_of("adarem/table-3") == sweep_reader.name_of("adarem-ptb") == "adarem-ptb"


def test_built_in_sweeps_that_share_a_name_in_a_store_share_their_runs(tmp_path):
    """A paper's table of means and its table of deviations are two files for the same runs."""
    runs = {}
    for place in sweep_reader.built_in():
        planned = {run.id for run in expand(sweep_reader.load(sweep_reader.find(place)), tmp_path).runs}
        assert runs.setdefault(sweep_reader.name_of(place), planned) == planned


def test_a_built_in_sweep_without_a_name_is_called_after_its_place(tmp_path, monkeypatch):
    monkeypatch.setattr(sweep_reader, "BUILT_IN", tmp_path)
    (tmp_path / "adamp").mkdir()
    path = write(tmp_path / "adamp", SWEEP.replace('name = "toys"', ""))
    assert sweep_reader.built_in() == ["adamp/sweep"]
    assert sweep_reader.name_of("adamp/sweep") == sweep_reader.load(path).name == "adamp-sweep"


def test_a_folder_is_no_sweep_file_and_hides_no_built_in_sweep(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "quickstart").mkdir()
    assert sweep_reader.find("quickstart").is_file()
    with pytest.raises(SweepError, match=r"unknown sweep 'quickstar'.*did you mean quickstart"):
        sweep_reader.find("quickstar")


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


@pytest.mark.parametrize("name", sweep_reader.built_in())
def test_every_sweep_that_comes_with_the_suite_expands(name, tmp_path):
    plan = expand(sweep_reader.load(sweep_reader.find(name)), tmp_path)
    assert plan.runs
    assert plan.head.baseline


def test_the_grids_of_adarem_s_table_3_have_the_trials_of_the_protocol_page(tmp_path):
    plan = expand(sweep_reader.load(sweep_reader.find("adarem/table-3")), tmp_path)
    tuned = Counter(run.row for run in plan.runs if run.role == "tune")
    assert tuned == {"sgdm": 5, "adam": 5 * 2 * 2, "adarem": 5 * 3}


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


SCHEDULES = SWEEP.replace(
    "fixed.lr = 0.1", 'fixed.lr = 0.1\ngrid.protocol.schedule = [{kind = "cosine"}, {kind = "constant"}]'
)


def test_schedules_are_an_axis_of_the_grid_and_stand_in_the_rows_names(tmp_path):
    plan = planned(tmp_path, SCHEDULES)
    assert [row.name for row in plan.head.rows] == ["sgd schedule.kind=cosine", "sgd schedule.kind=constant", "adamw"]
    assert plan.head.rows[0].notes == ["protocol differs: schedule.kind = cosine"]
    kinds = {plan.head.settings[run.setting]["protocol"].get("schedule", {}).get("kind") for run in plan.runs}
    assert kinds == {"cosine", "constant", None}


def test_a_tuned_schedule_is_one_row_that_says_so(tmp_path):
    plan = planned(tmp_path, SCHEDULES.replace("[0, 1]", "{tune = [0], report = [1]}"))
    assert [row.name for row in plan.head.rows] == ["sgd (schedule tuned)", "adamw"]
    assert plan.head.baseline == "sgd (schedule tuned)"
    tried = {run.setting for run in plan.runs if run.row == "sgd (schedule tuned)" and run.role == "tune"}
    assert len(tried) == 2


def test_single_fields_of_a_schedule_are_axes_too_and_multiply_with_the_grid(tmp_path):
    text = SWEEP.replace("fixed.lr = 0.1", "grid.lr = [0.1, 0.2]\ngrid.protocol.schedule.warmup = [0, 1]")
    plan = planned(tmp_path, text)
    assert [row.name for row in plan.head.rows][:2] == ["sgd lr=0.1 schedule.warmup=0", "sgd lr=0.1 schedule.warmup=1"]
    assert len(plan.head.rows) == 5
    alone = planned(tmp_path, SWEEP.replace("fixed.lr = 0.1", "fixed.lr = 0.2\nprotocol.schedule.warmup = 1"))
    ids = {run.id for run in plan.runs if run.row == "sgd lr=0.2 schedule.warmup=1"}
    assert ids == {run.id for run in alone.runs if run.row == "sgd"}, "a schedule is the same run however it is written"


def test_schedules_of_another_scale_are_stretched(tmp_path):
    text = 'tasks = ["mtat"]\n[[optimizer]]\nname = "sgd"\nfixed.lr = 0.1\ngrid.protocol.schedule.warmup = [0, 50]\n'
    (path := tmp_path / "warm.toml").write_text(text)
    assert sweep_reader.load(path, "smoke").entries[0].schedules == ({"warmup": 0}, {"warmup": 3})


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("grid.protocol.length = [1, 2]", "grid.protocol.length: unknown"),
        ("grid.protocol.schedule = 3", "grid.protocol.schedule: must be a list of schedules"),
        ("grid.protocol.schedule = []", "grid.protocol.schedule: must be a list of schedules"),
        ('grid.protocol.schedule = [{kind = "cosin"}]', "cosin"),
        ('grid.protocol.schedule = [{kind = "cosine"}, {kind = "cosine"}]', "are the same setting"),
    ],
)
def test_what_is_no_schedule_to_try_is_refused(line, expected, tmp_path):
    with pytest.raises(SweepError, match=re.escape(expected)):
        planned(tmp_path, SWEEP.replace("fixed.lr = 0.1", f"fixed.lr = 0.1\n{line}"))


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
        "protocol differs: length = 2",
        "protocol differs: clip_norm = 1.0",
        "protocol differs: length = 3 on toy:PLAIN",
    ]
