"""References are computed once a problem, by whoever ends its first run, and no run depends on them."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from optathlon.results import Store
from optathlon.suite import main
from optathlon.suite.identity import Problem, digest
from optathlon.suite.working import references
from optathlon.suite.working.signals import STOPPED_BY
from optathlon.tasks import Metric, Protocol, Task
from optathlon.tasks.language.ptb import layout
from optathlon.tasks.language.text.ngrams import bigram_perplexity, unigram_perplexity
from tests.suite.sweeps import command, environment, optathlon, write
from tests.waiting import wait_for

GOOD = {"constant": {"test/accuracy": 50.0, "validation/loss": np.float32(0.5)}, "coin": {"test/accuracy": 49}}
CALLS: list[tuple[Protocol, Path]] = []
ACT = []


def scores(protocol: Protocol, data: Path):
    CALLS.append((protocol, data))
    return ACT[-1]()


class Unbuilt:
    """A workload that no test builds."""


def _task(path: str | None) -> Task:
    return Task(
        name="mine", benchmark="mine", family="mine", summary="", workload=f"{__name__}:Unbuilt", references=path,
        metrics=(Metric("accuracy", "%", True), Metric("loss", "nats", False)),
        protocols={"smoke": Protocol(length=1, batch=1)},
    )  # fmt: skip


TASK, WITHOUT = _task(f"{__name__}:scores"), _task(None)
NOWHERE = _task(f"{__name__.rpartition('.')[0]}.no_such_module:scores")


def problem(name: str = "TASK", batch: int = 1) -> Problem:
    return Problem(
        task=f"{__name__}:{name}", version=1, scale="smoke", data={}, protocol=Protocol(length=1, batch=batch)
    )


@pytest.fixture
def store(tmp_path):
    CALLS.clear()
    ACT[:] = [lambda: GOOD]
    return Store(tmp_path / "store")


def ensured(store, of_problem=None, returns=None):
    """What was said when the references of a problem were asked for."""
    if returns is not None:
        ACT.append(returns)
    lines = []
    references.ensure(store, of_problem or problem(), Path("data"), lines.append)
    return lines


def known(store, of=None):
    return store.references([digest(of or problem())])


def test_what_the_tasks_function_returns_is_kept(store):
    (said,) = ensured(store)
    assert said.startswith(f"references of {__name__}:TASK: constant, coin, in ")
    (found,) = known(store).values()
    assert found.models == {
        "constant": {"test/accuracy": 50.0, "validation/loss": 0.5},
        "coin": {"test/accuracy": 49.0},
    }
    assert [(problem().protocol, Path("data"))] == CALLS


def test_they_are_computed_once_a_problem(store):
    ensured(store)
    assert ensured(store) == []
    assert len(CALLS) == 1
    ensured(store, problem(batch=2))
    assert len(CALLS) == 2


def test_a_task_without_any_leaves_no_trace(store):
    assert ensured(store, problem("WITHOUT")) == []
    assert not store.root.exists()


def test_none_is_an_answer_too(store):
    (said,) = ensured(store, returns=dict)
    assert ": none, in " in said
    assert [found.models for found in known(store).values()] == [{}]


def _raise(error):
    raise error


class UnspeakableError(Exception):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("act", "why"),
    [
        (lambda: _raise(ValueError("a\n\x1b[31mb")), "ValueError: a \\x1b[31mb"),
        (lambda: _raise(SystemExit(3)), "SystemExit: 3"),
        (lambda: _raise(MemoryError()), "MemoryError: "),
        (lambda: _raise(UnspeakableError()), "its message cannot be read"),
        (lambda: _raise(FileNotFoundError(2, "none", "counts.txt")), "counts.txt"),
        (lambda: None, "returned None; expected {model: {'test/accuracy': value}}"),
        (lambda: [1], "returned [1]"),
        (lambda: {"a": 3.0}, "returned {'a': 3.0}"),
        (lambda: {"a": {"test/acuracy": 1.0}}, "score 'test/acuracy' of a: must be one of validation/accuracy, "),
        (lambda: {"a": {"train/loss": 1.0}}, "score 'train/loss' of a"),
        (lambda: {"a": {1: 1.0}}, "score 1 of a"),
        (lambda: {"a": {"test/loss": float("nan")}}, "test/loss of a is nan: must be a finite number"),
        (lambda: {"a": {"test/loss": 10**400}}, "OverflowError"),
        (lambda: {"a": {"test/loss": "1"}}, "is '1': must be a finite number"),
        (lambda: {"a": {"test/loss": True}}, "is True: must be a finite number"),
        (lambda: {"": {"test/loss": 1.0}}, "model '': must be a name"),
        (lambda: {"a\x1b": {"test/loss": 1.0}}, "model 'a\\x1b': must be a name"),
        (lambda: {"a" * 10_000: {"test/loss": 1.0}}, "must be a name of at most 60"),
        (lambda: {3: {"test/loss": 1.0}}, "model 3: must be a name"),
    ],
)
def test_what_goes_wrong_is_said_once_and_kept_so_that_nobody_tries_again(store, act, why):
    (line,) = ensured(store, returns=act)
    assert why in line
    assert f"(in {__name__}:scores; no run is affected)" in line
    assert line.isprintable()
    assert len(line) < 800
    assert ensured(store, returns=lambda: GOOD) == []
    assert known(store) == {}
    assert "could not be computed" in store.problems[0]
    store.references_file(digest(problem())).unlink()
    ensured(store)
    assert len(known(store)) == 1, "as the problem says"


def test_a_path_that_leads_nowhere_is_no_more_than_that(store):
    (said,) = ensured(store, problem("NOWHERE"))
    assert "no run is affected" in said


@pytest.mark.parametrize("number", STOPPED_BY)
def test_a_signal_ends_it_with_nothing_written_and_is_listened_to_as_before(store, number):
    def stop():
        os.kill(os.getpid(), number)
        return GOOD

    before = signal.signal(number, signal.SIG_DFL)  # these tests themselves may run under nohup
    try:
        (said,) = ensured(store, returns=stop)
        assert "stopped; the next run of it computes them" in said
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, before)
    assert not store.root.exists()
    ensured(store, returns=lambda: GOOD)
    assert len(known(store)) == 1


def test_what_never_ends_is_ended_as_a_failure(store):
    def never_end():
        left, _ = signal.getitimer(signal.ITIMER_REAL)
        assert 0 < left <= references.LIMIT_SECONDS
        signal.setitimer(signal.ITIMER_REAL, 0.001)  # as if all but this had passed
        time.sleep(600)

    (said,) = ensured(store, returns=never_end)
    assert "TimeoutError: not done after 900 s" in said
    assert known(store) == {}
    assert "could not be computed" in store.problems[0]


def test_a_store_that_cannot_be_written_to_is_said_and_nothing_more(store):
    store.root.parent.mkdir(exist_ok=True)
    store.root.write_text("in the way")
    (said,) = ensured(store)
    assert "could not be written" in said


def test_only_a_run_with_an_outcome_asks_for_them(store):
    class Ended:
        problem = problem()

    for kind in ("stopped", "failed", "fenced"):
        references.ensure_after_outcome(kind, store, Ended, Path("data"), print)  # type: ignore[arg-type]
    assert CALLS == []
    references.ensure_after_outcome("diverged", store, Ended, Path("data"), print)  # type: ignore[arg-type]
    assert len(CALLS) == 1


TOYS = """
name = "toys"
scale = "smoke"
tasks = ["mine:TASK", "mine:BAD"]
seeds = [0]
[[optimizer]]
name = "sgd"
fixed.lr = 0.1
"""
MINE = """
import msgspec
import toy

def always(protocol, data):
    return {"always 0": {"test/accuracy": 50.0}}

def broken(protocol, data):
    return 1 / 0

TASK = msgspec.structs.replace(toy.TASK, references="mine:always", version=None)
BAD = msgspec.structs.replace(toy.TASK, references="mine:broken", version=None)
"""


@pytest.mark.slow
def test_a_task_from_outside_may_have_some_and_a_bad_one_fails_nothing(tmp_path):
    write(tmp_path, TOYS)
    (tmp_path / "mine.py").write_text(MINE)
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 0, done.stderr
    shown = optathlon(tmp_path, "leaderboard")
    assert shown.returncode == 0
    assert "always 0 (no optimizer)" in shown.stdout
    assert "the references of mine:BAD could not be computed: ZeroDivisionError: division by zero" in shown.stderr
    logs = [path.read_text() for path in (tmp_path / "store" / "work").rglob("log-*")]
    assert sum("no run is affected" in log for log in logs) == 1


PTB = """
name = "ngrams"
scale = "smoke"
tasks = ["ptb-awd-lstm"]
seeds = [0, 1]
protocol.length = 1
[[optimizer]]
name = "adamw"
fixed.lr = 2e-3
"""


@pytest.mark.slow
def test_a_language_tasks_board_shows_its_ngrams_also_where_runs_were_recorded_before_there_were_any(tmp_path, capsys):
    optathlon(tmp_path, "data", "miniature", "ptb")
    (tmp_path / "ngrams.toml").write_text(PTB)
    assert optathlon(tmp_path, "launch", "ngrams.toml").returncode == 0
    corpus = layout.read(tmp_path / "data" / "ptb")
    expected = {"unigram": [unigram_perplexity(corpus)], "bigram": [bigram_perplexity(corpus)]}
    assert shown(tmp_path, capsys) == expected
    records = {path: path.stat().st_mtime_ns for path in (tmp_path / "store" / "records").rglob("*.json")}

    shutil.rmtree(tmp_path / "store" / "references")
    assert shown(tmp_path, capsys) == {}
    again = optathlon(tmp_path, "launch", "ngrams.toml")
    assert again.returncode == 0
    assert "references of ptb-awd-lstm: unigram, bigram, in " in again.stderr
    assert shown(tmp_path, capsys) == expected
    assert {path: path.stat().st_mtime_ns for path in records} == records


def shown(folder, capsys):
    assert main._run("leaderboard", ["ngrams", "--store", str(folder / "store"), "--json"]) == 0
    return {row["name"]: row["values"] for row in json.loads(capsys.readouterr().out)["references"]}


@pytest.mark.slow
def test_one_run_alone_and_one_on_two_processes_have_them_computed(tmp_path):
    write(tmp_path, TOYS)
    (tmp_path / "mine.py").write_text(MINE)
    for number, more in enumerate(([], ["--processes", "2", "--device", "cpu"])):
        words = ("run", "mine:TASK", "sgd", "lr=0.1", "--scale", "smoke", "--store", f"store-{number}", *more)
        done = optathlon(tmp_path, *words)
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("references of mine:TASK: always 0, in ") == 1
        assert "always 0 (no optimizer)" in optathlon(tmp_path, "leaderboard", "--store", f"store-{number}").stdout


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_who_is_killed_while_computing_has_its_outcome_and_leaves_nothing_broken(tmp_path, number):
    write(tmp_path, TOYS)
    sleepy = MINE.replace(
        "    return {",
        "    open('here', 'w').close()\n    while os.path.exists('wait'): time.sleep(0.05)\n    return {",
    )
    (tmp_path / "mine.py").write_text(f"import os, time\n{sleepy}")
    (tmp_path / "wait").touch()
    words = ("run", "mine:TASK", "sgd", "lr=0.1", "--scale", "smoke")
    running = subprocess.Popen(command(*words), cwd=tmp_path, env=environment(), stderr=subprocess.PIPE, text=True)
    wait_for(lambda: (tmp_path / "here").exists() or running.poll() is not None)
    running.send_signal(number)
    assert (running.wait(), running.communicate()[1].count("stopped; the next run")) in ((0, 1), (-number, 0))
    (tmp_path / "wait").unlink()
    assert not (tmp_path / "store" / "references").exists()
    again = optathlon(tmp_path, *words)
    assert "was done before" in again.stderr
    assert "always 0, in " in again.stderr
    assert "always 0 (no optimizer)" in optathlon(tmp_path, "leaderboard").stdout
