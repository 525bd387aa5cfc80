"""A worker of a sweep that is held up, asked to stop, loses its launcher, or whose store is copied while it works."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from optathlon.results import Store
from optathlon.suite.monitoring import alive_workers
from tests.suite.kills import outcome
from tests.suite.sweeps import command, environment, optathlon, wait_until_in_a_run, write
from tests.waiting import wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The outcomes of the sweep's runs, which nobody disturbed."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write(folder)
    assert optathlon(folder, "launch", "sweep.toml").returncode == 0
    return outcomes(folder / "store")


@pytest.fixture
def at_work(tmp_path, hold):
    """The store of a sweep whose worker is in the middle of a run, which is held while the file `hold` is there."""
    write(tmp_path)
    assert optathlon(tmp_path, "launch", "sweep.toml", "--detach").returncode == 0
    wait_until_in_a_run(tmp_path)
    yield Store(tmp_path / "store")
    hold.unlink(missing_ok=True)
    wait_for(lambda: worker(Store(tmp_path / "store")) is None)


def worker(store: Store) -> int | None:
    """The process of the sweep's worker."""
    names = alive_workers.look(store, "toys").names
    return int(names[0].split(":")[3]) if names else None


@contextlib.contextmanager
def stopped(group: int) -> Iterator[None]:
    """No process of the group does anything while the block runs: a worker and its runs are one."""
    os.killpg(group, signal.SIGSTOP)
    try:
        wait_for(lambda: all(state in "TZ" for state in states_in(group)))
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def states_in(group: int) -> Iterator[str]:
    """The kernel's letter for the state of each process of the group."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            state, _, of_group, *_ = stat.read_text().rpartition(")")[2].split()
            if int(of_group) == group:
                yield state


def outcomes(root: Path) -> list[str]:
    store = Store(root)
    return [outcome(store.record(run.id)) for run in store.plan("toys").runs]


def kinds(store: Store) -> list[str]:
    return sorted(json.loads(path.read_bytes())["kind"] for path in (store.root / "work").rglob("ended-*.json"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_was_stopped_keeps_its_runs_and_saves_them_when_it_is_told_to(
    number, at_work, tmp_path, hold, undisturbed
):
    pid = worker(at_work)
    assert pid is not None
    with stopped(pid):
        again = optathlon(tmp_path, "launch", "sweep.toml", "--detach", "--json")
        assert json.loads(again.stdout)["workers"] == 0, "it is alive, though it does nothing"
    os.kill(pid, number)
    wait_for(lambda: worker(at_work) is None)
    assert set(kinds(at_work)) == {"stopped"}
    hold.unlink()
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 0
    assert outcomes(at_work.root) == undisturbed


def test_a_worker_outlives_its_launcher_and_the_terminal_of_it(tmp_path, hold, undisturbed):
    write(tmp_path)
    outer, inner = pty.openpty()
    launcher = subprocess.Popen(
        command("launch", "sweep.toml"),
        cwd=tmp_path,
        env=environment(),
        stdin=inner,
        stdout=inner,
        stderr=inner,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
    )
    os.close(inner)
    wait_until_in_a_run(tmp_path)
    os.close(outer)
    os.killpg(launcher.pid, signal.SIGHUP)
    launcher.wait()
    store = Store(tmp_path / "store")
    assert worker(store) is not None
    hold.unlink()
    wait_for(lambda: worker(store) is None)
    assert kinds(store) == ["finished"] * 4
    assert outcomes(store.root) == undisturbed


def test_a_store_that_is_copied_while_a_worker_is_at_work_is_another(at_work, tmp_path, hold, undisturbed):
    pid = worker(at_work)
    assert pid is not None
    with stopped(pid):  # or a file may be gone between being listed and being copied
        shutil.copytree(at_work.root, tmp_path / "copy")
    (sweep,) = json.loads(optathlon(tmp_path, "status", "--json", "--store", "copy").stdout)["sweeps"]
    assert (sweep["workers"], sweep["counts"]["running"]) == (0, 0)
    assert json.loads(optathlon(tmp_path, "cancel", "toys", "--json", "--store", "copy").stdout)["cancelled"] == []
    assert worker(at_work) == pid
    hold.unlink()
    assert optathlon(tmp_path, "launch", "sweep.toml", "--store", "copy").returncode == 0
    assert outcomes(tmp_path / "copy") == undisturbed
    wait_for(lambda: worker(at_work) is None)
    assert kinds(at_work) == ["finished"] * 4, "the copy's workers touched the original's runs"
    assert outcomes(at_work.root) == undisturbed
