"""A bad sweep file is refused in one line that names file, field, value and what would be right."""

from __future__ import annotations

import pytest

from optathlon.suite.errors import SweepError
from tests.suite.planning.planned import planned
from tests.suite.sweeps import SWEEP

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
