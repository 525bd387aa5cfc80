"""An attempt that was stopped, lost its run and wakes again harms nothing of those that took over."""

from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest
import torch

from optathlon.results import Store, this_process
from optathlon.results.record import Attempt, Ended
from optathlon.suite.training import checkpoint
from optathlon.suite.working.execute import execute
from optathlon.suite.working.forking import fork
from tests.suite.stories import on_host
from tests.suite.training.runs import run_of

RUN = run_of("sgd", protocol={"length": 4})


def execute_here(store: Store, attempt: Attempt | None, lines: list[str], updates: int = 1000) -> str:
    """Carry the attempt out, and stop it after so many updates; how it ended."""
    assert attempt is not None, "the run was not free"
    looks = itertools.count(1)
    device = torch.device("cpu")
    return execute(
        store, RUN, attempt, store.root, stop=lambda: next(looks) > updates, device=device, say=lines.append
    ).kind


def stopped(store: Store, patch: pytest.MonkeyPatch, name: str, call: int) -> int:
    """The pid of an attempt from another host that stops itself in the call of so many of the toy's `name`, or of
    `_sha256`, which a file gets before its name, and whose lease is over."""
    import toy

    attempt = store.claim(RUN.id, on_host("elsewhere"))
    owner = checkpoint if name == "_sha256" else toy.Toy
    genuine, calls = getattr(owner, name), itertools.count(1)

    def stopping(*args):
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGSTOP)
        return genuine(*args)

    with patch.context() as patched:
        patched.setattr(owner, name, stopping)
        pid = fork(lambda _: {"fenced": 0}.get(execute_here(store, attempt, []), 1))
    _, status = os.waitpid(pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status), status
    os.utime(store.work(RUN.id) / "attempt-0001.json", (1e9, 1e9))
    return pid


def wake(pid: int) -> int:
    os.kill(pid, signal.SIGCONT)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    store = Store(tmp_path_factory.mktemp("undisturbed"))
    assert execute_here(store, store.claim(RUN.id, this_process()), []) == "finished"
    return outcome(store)


def outcome(store: Store):
    record = store.record(RUN.id)
    assert record is not None
    return record.weights, record.scores, record.curve


@pytest.mark.parametrize(
    ("method", "call"),
    [("evaluate", 1), ("evaluate", 2), ("loss", 1), ("loss", 30), ("state_dict", 1), ("_sha256", 1)],
    ids=[
        "in its first evaluation",
        "in a later one",
        "in the first step",
        "in a later one",
        "in its first save",
        "before best weights get their name",
    ],
)
def test_who_wakes_after_another_took_over_changes_none_of_its_files(method, call, tmp_path, monkeypatch, expected):
    monkeypatch.setenv("OPTATHLON_CHECKPOINT_SECONDS", "0" if method == "state_dict" else "600")
    store, lines = Store(tmp_path / "store"), []
    pid = stopped(store, monkeypatch, method, call)
    second = store.claim(RUN.id, on_host("a third"))
    assert execute_here(store, second, lines, updates=20) == "stopped"
    before = contents(store.work(RUN.id))
    assert wake(pid) == 0
    after = contents(store.work(RUN.id))
    assert {name: after.get(name) for name in before if "0001" not in name} == {
        name: data for name, data in before.items() if "0001" not in name
    }
    assert set(after) - set(before) == {"ended-0001.json"}
    assert execute_here(store, store.claim(RUN.id, this_process()), lines) == "finished"
    assert outcome(store) == expected
    assert lines == []


def test_who_wakes_after_the_run_was_forgotten_writes_nothing(tmp_path, monkeypatch):
    """Not even how it ended, which would stand for the first attempt of who begins anew."""
    store = Store(tmp_path / "store")
    pid = stopped(store, monkeypatch, "evaluate", 5)
    store.forget(RUN.id)
    wake(pid)
    assert not store.work(RUN.id).exists()
    assert store.record(RUN.id) is None
    assert store.claim(RUN.id, this_process()) is not None


def test_who_wakes_after_the_run_was_forgotten_and_begun_anew_is_not_taken_for_the_new_attempt(tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    pid = stopped(store, monkeypatch, "evaluate", 1)
    store.forget(RUN.id)
    assert execute_here(store, store.claim(RUN.id, on_host("a third")), [], updates=20) == "stopped"
    before = contents(store.work(RUN.id))
    wake(pid)
    assert contents(store.work(RUN.id)) == before


def test_best_weights_that_an_earlier_attempt_deletes_late_are_the_next_ones_own(tmp_path):
    """Stopped between the fence and the deletion, where no question could help."""
    store = Store(tmp_path / "store")
    assert execute_here(store, store.claim(RUN.id, this_process()), [], updates=20) == "stopped"
    of_the_first = list(store.work(RUN.id).glob("best-*"))
    assert execute_here(store, store.claim(RUN.id, this_process()), [], updates=1) == "stopped"
    for path in of_the_first:
        path.unlink(missing_ok=True)
    told = []
    assert execute_here(store, store.claim(RUN.id, this_process()), told) == "finished"
    assert told == []


def test_nothing_is_written_down_of_a_run_that_was_forgotten(tmp_path):
    store = Store(tmp_path / "store")
    attempt = store.claim(RUN.id, on_host("elsewhere"))
    assert attempt is not None
    os.utime(store.work(RUN.id) / "attempt-0001.json", (1e9, 1e9))
    store.forget(RUN.id)
    store.note_moved(attempt)
    store.beat(attempt)
    assert not store.end(Ended(run=RUN.id, number=1, kind="fenced"))
    assert not store.work(RUN.id).exists()
