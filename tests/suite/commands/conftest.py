"""Stores for commands that show them: with made-up results, and of a sweep that was launched."""

from __future__ import annotations

import functools
import random

import msgspec
import pytest

from optathlon.results import Store
from optathlon.results.record import Curve
from tests.results.make import Sweep, setting
from tests.suite.sweeps import optathlon, write


@pytest.fixture
def store(tmp_path, monkeypatch):
    """Two tasks with three rows; adamp is far better on the first, adam everywhere as good as sgd."""
    sweep = Sweep(
        {name: [setting(name, lr=0.1)] for name in ("sgd", "adam", "adamp")},
        tasks=("ptb-awd-lstm", "mnist"),
        report=range(4),
        baseline="sgd",
        scale="paper",
    )
    chance = random.Random(0)
    far = {("adamp", "mnist"): 50.0}
    filled = Store(tmp_path / "store")
    for each in sweep.records(lambda r: 50 + far.get((r.row, r.column), 0.0) + chance.gauss(0, 1)):
        perplexity = msgspec.structs.replace(each.scores[0], name="test/perplexity", unit="", higher_is_better=False)
        filled.commit(msgspec.structs.replace(each, scores=[*each.scores, perplexity]))
    filled.put_plan(sweep.plan, b"")
    monkeypatch.setenv("OPTATHLON_STORE", str(filled.root))
    monkeypatch.chdir(tmp_path)
    return filled


def learned(store, sweep):
    """Fill `store` with a sweep whose rows all have learning curves; later rows are better."""
    chance = random.Random(1)
    for run in sweep.plan.runs:
        end = 60 + 3 * [row.name for row in sweep.plan.head.rows].index(run.row) + chance.gauss(0, 0.3)
        points = [(float(epoch), end - 20 / epoch) for epoch in range(1, 9)]
        points[-1] = (8.0, end)
        curve = Curve(unit="epochs", points={"validation/accuracy": points, "train/loss": points})
        store.commit(sweep.record(run, end, validation=end, curve=curve))
    store.put_plan(sweep.plan, b"")
    return store


@pytest.fixture
def tuned(tmp_path, monkeypatch):
    """Two tasks, three rows tuned over two rates."""
    rows = {name: [setting(name, lr=rate) for rate in (0.01, 0.1)] for name in ("sgd", "adam", "adamp")}
    sweep = Sweep(rows, tasks=("mnist", "ptb"), tune=(0, 1), report=(10, 11, 12), baseline="sgd")
    monkeypatch.setenv("OPTATHLON_STORE", str(tmp_path / "tuned"))
    monkeypatch.chdir(tmp_path)
    return learned(Store(tmp_path / "tuned"), sweep)


@pytest.fixture(scope="session")
def launched(tmp_path_factory):
    """A folder with a sweep launched to its end, for all tests to look at."""
    folder = tmp_path_factory.mktemp("launched")
    write(folder)
    done = optathlon(folder, "launch", "sweep.toml")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def short_walks(monkeypatch):
    """Toy figures are of nine steps, and a rate is searched among two."""
    from optathlon.optimizers import toys

    for walk in ("cosine", "rosenbrock"):
        monkeypatch.setattr(toys, walk, functools.partial(getattr(toys, walk), steps=9))
    best = toys.best
    monkeypatch.setattr(toys, "best", lambda label, build, rates=(): best(label, build, (0.01, 0.1)))
