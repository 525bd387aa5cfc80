"""A task whose description cannot be right is refused in one line, wherever it is named."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from optathlon import tasks
from optathlon.tasks.description import verified_scores, verify

HERE = Path(__file__).resolve().parent
REFUSED = {
    "ONE_METRIC": "metrics: is one Metric, and must be a tuple: write metrics=(Metric(...),) with its comma",
    "NO_METRICS": "metrics: must be a tuple of one or more Metrics, not ()",
    "CLASS_AS_WORKLOAD": 'workload: must be text, not the class Sound; write "faulty:Sound"',
    "PLAIN_PATH": "workload: must be text \"module:NAME\", not 'faulty.Sound'",
    "NO_WORKLOAD": "workload: faulty:Nowhere: module 'faulty' has no attribute 'Nowhere'",
    "NO_MODULE": "workload: fautly:Sound: there is no module 'fautly'; its file must lie beside the task's own",
    "NO_REFERENCES": "references: faulty:nowhere: module 'faulty' has no attribute 'nowhere'",
    "NO_SCALE": "protocols: 'full' is not a scale (known: mini, paper, smoke)",
    "ONE_DATASET": "datasets: must be a tuple of names, ('mnist',)",
    "HALF_VERSION": "version: must be a whole number or text, not a float",
    "OTHER_SELECT": "protocols['smoke']: select.metric: 'loss' is none of its metrics (known: accuracy)",
    "SLASH": "metrics: the name 'test/accuracy' must have letters and no '/'",
    "CLASS_AS_DATASET": 'datasets: must hold names, not the class Sound; write "faulty:Sound"',
    "BAD_LENGTH": "protocols['smoke']: clip_norm: Expected `float` > 0.0, not -1.0",
    "SCHEDULE_WORD": "protocols['smoke']: schedule: Expected a table such as {kind = \"cosine\"}, got `str` 'cosine'",
    "OBJECT_SETTING": "protocols['smoke']: settings or tags: no number, text, list or table",
    "OTHER_WAY": "protocols['smoke']: select.higher_is_better: is False, but the metric 'accuracy' has True",
    "NUMBER": "is an int, not a Task; name the Task that describes it",
    "Sound": "is the class Sound, not a Task; name the Task that describes it",
    "NOWHERE": "module 'faulty' has no attribute 'NOWHERE'",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copy(HERE / "faulty.py", tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "faulty", raising=False)
    return tmp_path


@pytest.mark.parametrize("name", REFUSED)
def test_a_description_that_cannot_be_right_is_one_line(name, folder):
    with pytest.raises(tasks.TaskError) as caught:
        tasks.task(f"faulty:{name}")
    assert str(caught.value).startswith(f"faulty:{name}: {REFUSED[name]}")
    assert "\n" not in str(caught.value)


def test_a_sound_description_is_taken_with_the_digest_of_its_file_as_version(folder):
    version = tasks.task("faulty:TASK_Sound").version
    assert isinstance(version, str)
    assert len(version) == 16


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("raise OSError('no\\nroom')", "broken:TASK: importing it raised OSError: no room (broken.py, line 1)"),
        ("def (", "broken:TASK: importing it raised SyntaxError: invalid syntax (broken.py, line 1)"),
        ("import nowhere_at_all", "broken:TASK: No module named 'nowhere_at_all'"),
        ("from optathlon import Task\nTASK = Task(name='x')", "importing it raised TypeError: Missing required"),
    ],
)
def test_a_file_that_does_not_import_is_one_line(text, expected, tmp_path, monkeypatch):
    (tmp_path / "broken.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken", raising=False)
    with pytest.raises(tasks.TaskError) as caught:
        tasks.task("broken:TASK")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there_says_where_it_is_looked_for():
    with pytest.raises(tasks.TaskError, match="No module named 'nowhere_mine'; its file must lie in this folder"):
        tasks.task("nowhere_mine:TASK")


@pytest.mark.parametrize("name", tasks.names())
def test_every_built_in_task_is_right(name):
    verify(tasks.task(name))


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        (
            {"acc": 1.0},
            r"misses 'accuracy' and has 'acc' besides; its names must be those of Task\.metrics",
        ),
        ({"accuracy": 1.0, "loss": 2.0}, r"evaluate\('test'\) has 'loss' besides"),
        ({}, r"evaluate\('test'\) misses 'accuracy';"),
        (None, r"evaluate\('test'\) returns None; it must return {'accuracy': \.\.\.}"),
        ({"accuracy": "high"}, r"'accuracy' is a str, not a number"),
    ],
)
def test_scores_are_those_that_the_task_describes(scores, expected, folder):
    with pytest.raises(tasks.TaskError, match=expected):
        verified_scores(tasks.task("faulty:TASK_Sound"), "test", scores)
    verified_scores(tasks.task("faulty:TASK_Sound"), "test", {"accuracy": 1.0})


def test_what_costs_much_may_be_measured_on_the_test_split_alone():
    task = tasks.task("wikitext103-txl-wn")
    during = {"perplexity": 30.0, "loss": 3.4}
    verified_scores(task, "validation", during)
    with pytest.raises(tasks.TaskError, match="misses 'perplexity_640'"):
        verified_scores(task, "test", during)
    with pytest.raises(tasks.TaskError, match="misses 'perplexity'"):
        verified_scores(task, "validation", {"loss": 3.4})
