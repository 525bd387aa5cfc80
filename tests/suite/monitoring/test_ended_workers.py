"""Where runs are left and no worker is alive, status says how the last worker ended and where its log is."""

from __future__ import annotations

import json
import os

import pytest

from optathlon.results import Store
from optathlon.slurm.cluster import Alive, Job
from optathlon.slurm.local import LocalCluster
from optathlon.suite.monitoring import alive_workers
from optathlon.suite.monitoring.alive_workers import HANDLE, Submitted, Workers
from optathlon.suite.monitoring.ended_workers import EndedWorkers, of_newest_launch
from tests.suite.commands.in_process import run_here
from tests.suite.stories import planned
from tests.suite.sweeps import SWEEP
from tests.waiting import wait_for

BUILT_IN = SWEEP.replace("toy:TASK", "ptb-awd-lstm")


@pytest.fixture
def ended(monkeypatch):
    """What Slurm says of how copies ended, without one."""
    states: dict[str, str] = {}
    monkeypatch.setattr(
        alive_workers.cluster("slurm"), "ended", lambda names: {n: states[n] for n in names if n in states}
    )
    return states


def job(store: Store, name: str, logs: dict[str, str], launch: int = 0, cluster: str = "slurm", **more) -> Submitted:
    """A job that has left `logs`, the later ones later."""
    folder = store.root / "jobs" / "ana" / name
    folder.mkdir(parents=True)
    (folder / HANDLE).touch()
    for at, (file, text) in enumerate(logs.items()):
        (folder / file).write_text(text)
        os.utime(folder / file, (launch * 1000 + at, launch * 1000 + at))
    return Submitted(f"{cluster}:c:ana:{name}", cluster, 1, folder=f"jobs/ana/{name}", launch=launch, **more)


def over(*jobs: Submitted) -> Workers:
    return Workers(dict.fromkeys(jobs, Alive()))


def test_the_log_written_to_last_and_its_last_line_that_says_something(store, ended):
    logs = {
        "7_1_0_log.out": "srun: error: node1: task 0: Exited with exit code 2\n",
        "7_0_0_log.out": "Traceback (most recent call last):\n  File x\nModuleNotFoundError: No module named 'slurm'\n"
        "submitit INFO (2026-11-22) - Exiting\nsrun: error: node1: task 0: Exited with exit code 1\n\n",
        "7_0_submitted.pkl": "",
        "7_1_submitted.pkl": "",
    }
    crashed = job(store, "new", logs, launch=1)
    ended |= {
        f"{crashed.handle}:7_0": "FAILED",
        f"{crashed.handle}:7_1": "NODE_FAIL",
        "slurm:c:ana:other:7_2": "FAILED",
    }
    ending = of_newest_launch(store, over(job(store, "old", {"6_0_log.out": "earlier"}), crashed))
    assert ending is not None
    assert ending.log == store.root / "jobs/ana/new/7_0_0_log.out"
    assert (ending.last_line, dict(ending.states)) == (
        "ModuleNotFoundError: No module named 'slurm'",
        {"FAILED": 1, "NODE_FAIL": 1},
    )
    first, second = ending.explain()
    assert first == (
        "the last worker ended at 1970-01-01T00:16:41Z (Slurm: 1 FAILED, 1 NODE_FAIL), "
        "its last words: ModuleNotFoundError: No module named 'slurm'"
    )
    assert second.endswith("its log: " + str(ending.log))


def test_srun_is_quoted_only_where_nobody_else_spoke(store, ended):
    found = of_newest_launch(store, over(job(store, "a", {"7_0_log.out": "srun: error: node1: cannot start\n"})))
    assert found is not None
    assert found.last_line == "srun: error: node1: cannot start"


def test_no_log_and_an_empty_one_are_said_to_be_so(store, ended):
    ending = of_newest_launch(store, over(job(store, "a", {"7_0_log.out": ""})))
    assert ending is not None
    assert ending.explain()[0].endswith("Z, without a word")
    ending = of_newest_launch(store, over(job(store, "b", {"7_submitted.pkl": ""}, launch=1)))
    assert ending == EndedWorkers(store.root / "jobs/ana/b")
    assert "left no log in" in ending.explain()[0]


def test_a_long_line_and_what_could_move_the_cursor_are_made_legible(store, ended):
    text = "x" * 100_000 + "\x1b[2Jend\n"
    found = of_newest_launch(store, over(job(store, "a", {"log.txt": text}, cluster="local")))
    assert found is not None
    assert len(found.last_line) <= 500
    assert found.last_line.endswith(r"\x1b[2Jend")


def test_nothing_is_told_while_a_worker_waits_or_cannot_be_asked_about_or_none_was_started(store, ended):
    mine = job(store, "a", {"7_0_log.out": "x"})
    withdrawn = job(store, "b", {}, launch=1)
    (store.root / withdrawn.folder / HANDLE).unlink()
    for alive in (Alive(running=("r",)), Alive(pending=("p",), never=frozenset("p")), Alive(known=False)):
        assert of_newest_launch(store, Workers({mine: alive})) is None
    assert of_newest_launch(store, Workers({})) is None
    assert of_newest_launch(store, over(withdrawn)) is None
    found = of_newest_launch(store, over(mine, withdrawn))
    assert found is not None
    assert found.last_line == "x"


def test_status_names_the_log_of_a_worker_on_this_machine(store, tmp_path):
    planned(tmp_path, BUILT_IN, store)
    store.put_submission("toys", {"plan": 1, "cluster": "local", "folder": "jobs/me/toys-0001", "runs": 4})
    folder = store.root / "jobs" / "me" / "toys-0001"
    words = "ImportError: libcudnn.so.9: cannot open shared object file"
    here = LocalCluster()
    handle = here.submit(Job(("echo", words), "toys-0001", folder))
    (folder / HANDLE).write_text(handle)
    wait_for(lambda: not here.alive([handle])[handle])
    told = run_here(tmp_path, "status", "toys").stdout
    assert f"its last words: {words}\n  its log: store/jobs/me/toys-0001/log.txt" in told
    (seen,) = json.loads(run_here(tmp_path, "status", "toys", "--json").stdout)["sweeps"]
    assert (seen["last_worker"]["said"], seen["last_worker"]["log"]) == (words, "store/jobs/me/toys-0001/log.txt")


def test_a_job_whose_launcher_died_before_it_could_say_so_is_found_by_its_log(store, ended):
    killed = job(store, "a", {"7_0_log.out": "said"})
    (store.root / killed.folder / HANDLE).unlink()
    found = of_newest_launch(store, over(killed))
    assert found is not None
    assert found.last_line == "said"
