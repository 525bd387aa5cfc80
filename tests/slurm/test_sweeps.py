"""Sweeps on a real Slurm: whatever happens to the workers, they end as on this machine."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from optathlon.results import Store
from tests.suite.sweeps import command, environment, optathlon, wait_until_in_a_run, write
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

# 20 runs to tune, and 20 to report: 5 seeds of the best setting of each of 2 optimizers on 2 tasks.
SWEEP = """
name = "forty"
scale = "smoke"
tasks = ["toy:TASK", "toy:LINEAR"]
seeds = {tune = [0, 1], report = [10, 11, 12, 13, 14]}

[[optimizer]]
name = "sgd"
grid.lr = [0.03, 0.1, 0.3]

[[optimizer]]
name = "adamw"
grid.lr = [3e-3, 1e-2]

[cluster]
workers = 3
cpus = 4          # a whole node each
setup = ["export OMP_NUM_THREADS=1"]
"""
RUNS = 40
ON_SLURM = ("launch", "sweep.toml", "--on", "slurm", "--json")


@pytest.fixture(scope="module")
def on_this_machine(tmp_path_factory):
    """The sweep, carried out on this machine."""
    folder = tmp_path_factory.mktemp("here")
    write(folder, SWEEP)
    done = optathlon(folder, "launch", "sweep.toml")
    assert done.returncode == 0, done.stderr
    return folder


def outcomes(folder: Path) -> tuple[str, dict]:
    """The leaderboard, and all that is recorded of each run but its provenance."""
    records = {path.name: json.loads(path.read_bytes()) for path in (folder / "store/records").rglob("*.json")}
    for record in records.values():
        del record["provenance"]
    return optathlon(folder, "leaderboard", "--format", "csv").stdout, records


def endings(folder: Path) -> list[str]:
    return sorted(json.loads(path.read_bytes())["kind"] for path in (folder / "store/work").rglob("ended-*.json"))


def status_of(folder: Path) -> dict:
    done = optathlon(folder, "status", "--json")
    assert done.returncode == 0, done.stderr
    (sweep,) = json.loads(done.stdout)["sweeps"]
    return sweep


def queued(slurm, *states: str) -> list[str]:
    """Jobs in the queue (in one of `states`)."""
    lines = [line.split() for line in slurm.ask("squeue", "-r", "-h", "-o", "%i %T").splitlines()]
    return [job for job, state in lines if not states or state in states]


def running(folder: Path) -> dict[str, int]:
    """Of each run that is under way, the job and the process."""
    store = Store(folder / "store")
    ids = [path.name for path in (folder / "store/work").glob("*/*")]
    owners = [state.owner for state in store.states(ids).values() if state.kind == "running"]
    return {owner.job.rpartition(":")[2]: owner.pid for owner in owners}


def killed(pid: int | None) -> bool:
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            return True
    return False


def test_in_spite_of_everything_a_sweep_ends_as_on_this_machine(slurm, on_this_machine, hold, tmp_path):
    """Two launches at the same time; a job requeued, a run killed, the controller restarted, a node down and back."""
    write(tmp_path, SWEEP)
    launches = [
        subprocess.Popen(command(*ON_SLURM), cwd=tmp_path, env=environment(), stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    outputs = [process.communicate() for process in launches]
    assert [process.returncode for process in launches] == [0, 0], outputs
    assert sorted(json.loads(out)["workers"] for out, _ in outputs) == [0, 6], (
        "one of two launches leaves it to the other"
    )
    assert len(queued(slurm)) == 6

    def all_at_work() -> list[str]:
        return wait_for(lambda: len(jobs := queued(slurm, "RUNNING")) == 3 and len(running(tmp_path)) == 3 and jobs)

    # One after another: a fault in the aftermath of another is more than Slurm itself takes (jobs held, nodes drained).
    slurm.ask("scontrol", "requeue", all_at_work()[0])
    second = all_at_work()[1]
    wait_for(lambda: killed(running(tmp_path).get(second)))
    status = status_of(tmp_path)
    assert sum(status["counts"].values()) == status["runs"] == RUNS
    slurm.stop_controller()
    refused = optathlon(tmp_path, *ON_SLURM)
    assert refused.returncode == 4
    assert "Unable to contact slurm controller" in refused.stderr
    slurm.start_controller()
    node = slurm.ask("squeue", "-h", "-j", all_at_work()[2], "-o", "%N").strip()
    slurm.ask("scontrol", "update", f"nodename={node}", "state=down", "reason=test")  # it comes back by itself
    hold.unlink()

    done = 0
    while queued(slurm) and done < RUNS:
        counts = status_of(tmp_path)["counts"]
        assert sum(counts.values()) == RUNS
        assert counts["finished"] >= done, "what was finished is not"
        assert counts["failed"] == 0
        done = counts["finished"]
        time.sleep(1)
    done = status_of(tmp_path)["counts"]["finished"]
    assert done == RUNS
    wait_for(lambda: not queued(slurm))
    assert outcomes(tmp_path) == outcomes(on_this_machine)
    kinds = endings(tmp_path)
    assert kinds.count("finished") == RUNS, "a run was trained twice to its end"
    assert {"failed", "stopped"} < set(kinds), "nothing happened"
    again = json.loads(optathlon(tmp_path, *ON_SLURM).stdout)
    assert (again["missing"], again["workers"]) == (0, 0)


ONE = """
name = "long"
scale = "smoke"
tasks = ["toy:TASK"]

[[optimizer]]
name = "sgd"
fixed.lr = 0.1

[cluster]
time = 60
notice = 75       # Slurm looks every 30 s, and so says it up to 105 s before the end
setup = ["export OMP_NUM_THREADS=1"]
"""


def test_a_run_longer_than_the_time_limit_is_saved_requeued_and_ends_the_same(slurm, hold, tmp_path):
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        write(tmp_path / name, ONE)
    assert optathlon(tmp_path / "here", "launch", "sweep.toml", TOY_HOLD="").returncode == 0
    assert optathlon(tmp_path / "there", *ON_SLURM).returncode == 0
    wait_until_in_a_run(tmp_path / "there")
    (job,) = queued(slurm, "RUNNING")
    minutes = int(slurm.ask("squeue", "-h", "-j", job, "-o", "%M").split(":")[-2])
    slurm.ask("scontrol", "update", f"jobid={job}", f"timelimit={minutes + 2}")
    wait_for(lambda: endings(tmp_path / "there"))
    wait_for(lambda: queued(slurm, "PENDING", "RUNNING") == [job])
    slurm.ask("scontrol", "update", f"jobid={job}", "timelimit=60")
    hold.unlink()
    wait_for(lambda: not queued(slurm))
    assert outcomes(tmp_path / "there") == outcomes(tmp_path / "here")
    kinds = endings(tmp_path / "there")
    assert kinds == ["finished", *["stopped"] * (len(kinds) - 1)]
    assert len(kinds) > 1, "it was not stopped"
    (path,) = (tmp_path / "there/store/records").rglob("*.json")
    assert json.loads(path.read_bytes())["provenance"]["job"].startswith("slurm:ci:")


def test_a_launcher_that_dies_while_submitting_leaves_jobs_that_are_found(slurm, hold, tmp_path):
    write(tmp_path, SWEEP)
    real = subprocess.run(["which", "sbatch"], env=environment(), capture_output=True, text=True, check=True)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sbatch").write_text(
        f'#!/bin/sh\n{real.stdout.strip()} "$@" || exit 1\n[ "$1" = --test-only ] || kill -9 $PPID\n'
    )
    (tmp_path / "bin/sbatch").chmod(0o755)
    path = f"{tmp_path / 'bin'}:{os.environ['PATH']}"
    assert optathlon(tmp_path, *ON_SLURM, PATH=path).returncode == -signal.SIGKILL
    assert len(queued(slurm)) == 3
    assert status_of(tmp_path)["workers"] == 3
    again = json.loads(optathlon(tmp_path, *ON_SLURM).stdout)
    assert again["workers"] == 0, "what was submitted was submitted again"
    cancelled = json.loads(optathlon(tmp_path, "cancel", "forty", "--json").stdout)["cancelled"]
    assert len(cancelled) == 1
    wait_for(lambda: not queued(slurm))


def test_a_thousand_runs_are_ten_arrays(slurm, tmp_path):
    write(
        tmp_path,
        SWEEP.replace("seeds = {tune = [0, 1], report = [10, 11, 12, 13, 14]}", f"seeds = {list(range(100))}")
        .replace("workers = 3", "workers = 1000\nsbatch.hold = true")
        .replace("cpus = 4 ", "cpus = 1 "),
    )
    done = json.loads(optathlon(tmp_path, *ON_SLURM).stdout)
    assert (done["missing"], done["workers"]) == (1000, 1000)
    assert len({job.partition("_")[0] for job in queued(slurm)}) == -(-1000 // 101)
    dry = json.loads(optathlon(tmp_path, *ON_SLURM, "--dry-run").stdout)
    assert dry["arrays"] == [], "with a worker alive for every run there is nothing to submit"
    optathlon(tmp_path, "cancel", "forty")
    wait_for(lambda: not queued(slurm))


def test_a_mistake_submits_and_writes_nothing(slurm, tmp_path):
    write(tmp_path, SWEEP)
    for words, code, expected in (
        (("--cluster", "partition=nowhere"), 4, "invalid partition specified: nowhere"),
        (("--cluster", "gpus=64"), 4, "Requested node configuration is not available"),
        (("--cluster", "memroy=1G"), 2, "did you mean memory?"),
    ):
        done = optathlon(tmp_path, *ON_SLURM, *words)
        assert (done.returncode, expected in done.stderr) == (code, True), done.stderr
        assert "Traceback" not in done.stderr
        assert not (tmp_path / "store").exists()
    assert queued(slurm) == []


def test_doctor_describes_the_cluster(slurm, tmp_path):
    done = optathlon(tmp_path, "doctor", "--json")
    findings = {f["what"]: (f["level"], f["finding"]) for f in json.loads(done.stdout)["findings"]}
    assert findings["slurm"][0] == "ok"
    assert "MaxArraySize 101" in findings["slurm"][1]
    assert findings["partition main"][1].endswith("default")
    assert findings["sbatch --test-only"][0] == "ok"
