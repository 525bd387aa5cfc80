"""A worker of a sweep that is held up, asked to stop, loses its launcher, or whose store is copied while it works."""

from __future__ import annotations

import json
import os
import pty
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from optathlon.results import Store
from optathlon.suite.monitoring import alive_workers
from tests.suite.kills import outcome
from tests.suite.sweeps import command, environment, optathlon, write
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
def at_work(tmp_path):
    """The store of a sweep whose worker is in the middle of a run, which goes slowly while the file `hold` is there."""
    write(tmp_path)
    (tmp_path / "hold").touch()
    assert optathlon(tmp_path, "launch", "sweep.toml", "--detach", TOY_HOLD=str(tmp_path / "hold")).returncode == 0
    wait_until_in_a_run(tmp_path)
    yield Store(tmp_path / "store")
    (tmp_path / "hold").unlink(missing_ok=True)
    wait_for(lambda: worker(Store(tmp_path / "store")) is None)


def wait_until_in_a_run(folder: Path) -> None:
    wait_for(lambda: any(path.stat().st_size for path in (folder / "store").rglob("events-*.jsonl")))


def worker(store: Store) -> int | None:
    """The process of the sweep's worker."""
    names = alive_workers.look(store, "toys").names
    return int(names[0].split(":")[3]) if names else None


def outcomes(root: Path) -> list[str]:
    store = Store(root)
    return [outcome(store.record(run.id)) for run in store.plan("toys").runs]


def kinds(store: Store) -> list[str]:
    return sorted(json.loads(path.read_bytes())["kind"] for path in (store.root / "work").rglob("ended-*.json"))


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_a_worker_that_was_stopped_keeps_its_runs_and_saves_them_when_it_is_told_to(
    number, at_work, tmp_path, undisturbed
):
    pid = worker(at_work)
    assert pid is not None
    os.killpg(pid, signal.SIGSTOP)
    again = optathlon(tmp_path, "launch", "sweep.toml", "--detach", "--json")
    assert json.loads(again.stdout)["workers"] == 0, "it is alive, though it does nothing"
    os.killpg(pid, signal.SIGCONT)
    os.kill(pid, number)
    wait_for(lambda: worker(at_work) is None)
    assert set(kinds(at_work)) == {"stopped"}
    (tmp_path / "hold").unlink()
    assert optathlon(tmp_path, "launch", "sweep.toml").returncode == 0
    assert outcomes(at_work.root) == undisturbed


def test_a_worker_outlives_its_launcher_and_the_terminal_of_it(tmp_path, undisturbed):
    write(tmp_path)
    (tmp_path / "hold").touch()
    outer, inner = pty.openpty()
    launcher = subprocess.Popen(
        command("launch", "sweep.toml"),
        cwd=tmp_path,
        env=environment(TOY_HOLD=str(tmp_path / "hold")),
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
    (tmp_path / "hold").unlink()
    wait_for(lambda: worker(store) is None)
    assert kinds(store) == ["finished"] * 4
    assert outcomes(store.root) == undisturbed


def test_a_store_that_is_copied_while_a_worker_is_at_work_is_another(at_work, tmp_path, undisturbed):
    pid = worker(at_work)
    shutil.copytree(at_work.root, tmp_path / "copy")
    (sweep,) = json.loads(optathlon(tmp_path, "status", "--json", "--store", "copy").stdout)["sweeps"]
    assert (sweep["workers"], sweep["counts"]["running"]) == (0, 0)
    assert json.loads(optathlon(tmp_path, "cancel", "toys", "--json", "--store", "copy").stdout)["cancelled"] == []
    assert worker(at_work) == pid
    (tmp_path / "hold").unlink()
    assert optathlon(tmp_path, "launch", "sweep.toml", "--store", "copy").returncode == 0
    assert outcomes(tmp_path / "copy") == undisturbed
    wait_for(lambda: worker(at_work) is None)
    assert kinds(at_work) == ["finished"] * 4, "the copy's workers touched the original's runs"
    assert outcomes(at_work.root) == undisturbed
