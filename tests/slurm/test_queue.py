"""What becomes of a sweep's workers in a real Slurm's queue: status tells of it, and the next launch repairs it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from optathlon.results import Store
from optathlon.slurm import slots
from tests.suite.sweeps import SWEEP, optathlon, write
from tests.waiting import wait_for

pytestmark = pytest.mark.slow

ON_SLURM = ("launch", "sweep.toml", "--on", "slurm", "--json")
ONE = SWEEP.replace("seeds = [0, 1]", "seeds = [0]").partition('\n[[optimizer]]\nname = "adamw"')[0]
CLUSTER = '\n[cluster]\nworkers = 2\nsetup = ["export OMP_NUM_THREADS=1"]\n'


def launch(folder: Path, *words: str) -> tuple[dict, str]:
    done = optathlon(folder, *ON_SLURM, *words)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def status_of(folder: Path) -> dict:
    (sweep,) = json.loads(optathlon(folder, "status", "toys", "--json").stdout)["sweeps"]
    return sweep


def queued(slurm, form: str = "%i") -> list[str]:
    return slurm.ask("squeue", "-a", "-r", "-h", "-o", form).splitlines()


def endings(folder: Path) -> list[str]:
    return sorted(json.loads(path.read_bytes())["kind"] for path in (folder / "store/work").rglob("ended-*.json"))


def test_a_worker_that_crashes_at_its_start_is_told_of_with_its_log(slurm, tmp_path):
    write(tmp_path, SWEEP + CLUSTER)
    (tmp_path / "broken/optathlon").mkdir(parents=True)
    (tmp_path / "broken/optathlon/__init__.py").write_text('raise ImportError("half an installation")')
    for setup, words in (
        (f"export PYTHONPATH={tmp_path / 'broken'}", "half an installation"),
        ("echo no such module >&2; exit 1", "no such module"),
    ):
        launch(tmp_path, "--cluster", f'setup=["{setup}"]')
        wait_for(lambda: not queued(slurm))
        assert status_of(tmp_path)["workers"] == 0
        wait_for(lambda: status_of(tmp_path)["last_worker"]["slurm"] == {"FAILED": 2})  # accounts lag behind
        status = status_of(tmp_path)
        assert words in status["last_worker"]["said"]
        assert words in (tmp_path / status["last_worker"]["log"]).read_text()
        text = optathlon(tmp_path, "status", "toys").stdout
        assert status["last_worker"]["log"] in text
        assert words in text


def test_nodes_that_are_drained_are_waited_for_and_what_no_node_has_is_refused(slurm, hold, tmp_path):
    write(tmp_path, SWEEP + CLUSTER)
    nodes = f"nodename={','.join(slurm.nodes)}"
    slurm.ask("scontrol", "update", nodes, "state=drain", "reason=cooling")
    try:
        for words in ("gpus=3", "nodes=4"):
            refused = optathlon(tmp_path, *ON_SLURM, "--cluster", words)
            assert refused.returncode == 4
            assert "Requested node configuration is not available" in refused.stderr
        assert not (tmp_path / "store").exists()
        done, message = launch(tmp_path, "--cluster", "gpus=1")
        assert done["workers"] == 2
        assert "too few of the nodes that would do are in service: node1 is drained: cooling; " in message
        assert len(queued(slurm)) == status_of(tmp_path)["pending"]["workers"] == 2
        slurm.ask("scontrol", "update", nodes, "state=resume")
        wait_for(lambda: queued(slurm, "%T").count("RUNNING") == 2)
    finally:
        slurm.ask("scontrol", "update", nodes, "state=resume", check=False)
        optathlon(tmp_path, "cancel", "toys")


def test_held_workers_are_named_and_those_that_cannot_start_are_replaced(slurm, tmp_path):
    write(tmp_path, SWEEP + CLUSTER)
    slurm.ask("scontrol", "update", "partitionname=high", "maxtime=90")
    try:
        launch(tmp_path, *("--cluster", "partition=high", "--cluster", "time=80", "--cluster", "sbatch.hold=true"))
        status = status_of(tmp_path)
        assert (status["workers"], status["pending"]["workers"]) == (2, 0)
        assert status["held_workers"] == {"workers": 2, "reasons": ["JobHeldUser"]}
        again, message = launch(tmp_path)
        assert (again["workers"], len(again["alive"])) == (0, 2)
        job = queued(slurm, "%F")[0]
        assert f"2 workers are held (JobHeldUser): `scontrol release {job}`" in message

        slurm.ask("scontrol", "update", "partitionname=high", "maxtime=60")
        slurm.ask("scontrol", "release", job)
        wait_for(lambda: set(queued(slurm, "%r")) == {"PartitionTimeLimit"})
        status = status_of(tmp_path)
        assert (status["workers"], status["last_worker"]) == (0, None)
        assert status["never_start"] == {"workers": 2, "reasons": ["PartitionTimeLimit"]}
        assert "2 workers cannot start (PartitionTimeLimit)" in optathlon(tmp_path, "status", "toys").stdout
        again, _ = launch(tmp_path, "--cluster", "sbatch.hold=true")
        assert again["workers"] == 2
        assert job not in queued(slurm, "%F"), "what cannot start stays in the queue"
    finally:
        slurm.ask("scontrol", "update", "partitionname=high", "maxtime=unlimited")
        optathlon(tmp_path, "cancel", "toys")


def test_limits_of_groups_and_jobs_are_kept_to_and_told_of(slurm, tmp_path):
    write(tmp_path, SWEEP + CLUSTER.replace("workers = 2", "workers = 4\nsbatch.hold = true"))
    account = slurm.ask("sacctmgr", "-n", "-P", "show", "user", slurm.user, "format=DefaultAccount").strip()

    def limit(what: str, *limits: str) -> None:
        slurm.ask("sacctmgr", "-i", "modify", *what.split(), "set", *limits)

    try:
        limit(f"account {account}", "GrpSubmitJobs=3")
        assert launch(tmp_path)[0]["workers"] == 3
        again, message = launch(tmp_path)
        assert (again["workers"], len(again["alive"])) == (0, 3)
        assert "limit on queued jobs" in message
        optathlon(tmp_path, "cancel", "toys")
        wait_for(lambda: not queued(slurm))
        limit(f"account {account}", "GrpSubmitJobs=-1")
        limit("qos normal", "MaxTRESPerJob=cpu=2")
        launch(tmp_path, "--cluster", "cpus=3")
        slurm.ask("scontrol", "release", queued(slurm, "%F")[0])
        wait_for(lambda: set(queued(slurm, "%r")) == {"QOSMaxCpuPerJobLimit"})
        assert status_of(tmp_path)["never_start"]["workers"] == 4
    finally:
        limit("qos normal", "MaxTRESPerJob=cpu=-1")
        limit(f"account {account}", "GrpSubmitJobs=-1")
        optathlon(tmp_path, "cancel", "toys")


def test_several_runs_at_once_in_a_job_survive_its_cancellation_and_leave_nothing_on_the_node(slurm, hold, tmp_path):
    write(tmp_path, SWEEP + CLUSTER.replace("workers = 2", "workers = 2\nslots = 2"))
    temporary = Path(os.environ["OPTATHLON_SLOTS"]).parent
    stale = temporary / f"optathlon-slots-{2**31 + os.getpid()}-{os.geteuid()}"
    stale.mkdir()
    (stale / "core-0.lock").touch()
    launch(tmp_path)
    wait_for(lambda: len(status_of(tmp_path)["running"]) == 4)
    assert not stale.exists(), "what a killed job left on this node"
    ids = queued(slurm, "%A")
    assert all(list(temporary.glob(f"optathlon-slots-{job}-*")) for job in ids)
    slurm.ask("scancel", queued(slurm)[0])
    wait_for(lambda: endings(tmp_path) == ["stopped"] * 2)
    hold.unlink()
    wait_for(lambda: not queued(slurm))  # the other one takes its runs
    assert status_of(tmp_path)["counts"]["finished"] == 4
    assert endings(tmp_path) == ["finished"] * 4 + ["stopped"] * 2

    def swept() -> bool:
        with slots.folder():  # as the next worker's start does, for what a worker had no time left to remove
            return not [path for job in ids for path in temporary.glob(f"optathlon-slots-{job}-*")]

    wait_for(swept)


def test_what_failed_for_good_is_tried_again_by_the_next_launch_that_is_told_to(slurm, tmp_path):
    write(tmp_path, ONE + CLUSTER)
    toy = tmp_path / "toy.py"
    toy.write_text(toy.read_text().replace('settings["crash"]', f"os.path.exists({str(tmp_path / 'crash')!r})"))
    (tmp_path / "crash").touch()
    launch(tmp_path)
    wait_for(lambda: not queued(slurm))
    assert status_of(tmp_path)["counts"]["failed"] == 1
    assert len(list((tmp_path / "store/work").rglob("attempt-*.json"))) == 3
    (tmp_path / "crash").unlink()
    done = optathlon(tmp_path, *ON_SLURM)
    assert (done.returncode, json.loads(done.stdout)["workers"]) == (1, 0)
    assert launch(tmp_path, "--retry")[0]["workers"] == 1
    wait_for(lambda: not queued(slurm))
    assert status_of(tmp_path)["counts"]["finished"] == 1


def test_no_more_workers_than_the_cap_are_at_work_with_more_shapes_follow_ups_and_a_second_launch(
    slurm, hold, tmp_path, monkeypatch
):
    text = ONE.replace("TASK", 'TASK", "toy:LINEAR') + CLUSTER.replace("workers = 2", "workers = 1\nchain = 1")
    write(tmp_path, text + '[override."toy:LINEAR".cluster]\nmemory = "600M"\n')
    launch(tmp_path)
    wait_for(lambda: queued(slurm, "%T").count("RUNNING") == 1)
    slurm.ask("scancel", *(line.split()[0] for line in queued(slurm, "%i %T") if line.endswith("RUNNING")))
    monkeypatch.delenv("TOY_HOLD")  # the workers of the first launch wait, those of the second do not
    launch(tmp_path)
    hold.unlink()
    most = 0
    while states := queued(slurm, "%T"):
        most = max(most, states.count("RUNNING"))
        time.sleep(0.2)
    assert most == 1
    assert status_of(tmp_path)["counts"]["finished"] == 2


def test_runs_of_an_optimizer_with_memory_of_its_own_are_in_jobs_that_have_it(slurm, tmp_path):
    text = SWEEP.replace("seeds = [0, 1]", "seeds = [0]")
    write(tmp_path, text + 'cluster.memory = "600M"\n' + CLUSTER + 'memory = "300M"\n')
    document, _ = launch(tmp_path)
    assert (document["workers"], len(document["started"])) == (2, 2)
    wait_for(lambda: not queued(slurm))
    assert status_of(tmp_path)["counts"]["finished"] == 2
    store = Store(tmp_path / "store")
    for run in (runs := store.plan("toys").runs):
        (record,) = store.records([run.id])
        *_, name, _ = record.provenance["job"].split(":")
        wait_for(lambda name=name: name in requested(slurm))  # accounts lag behind
        assert requested(slurm)[name] == {"sgd": "300M", "adamw": "600M"}[run.row]
    assert len(runs) == 2


def requested(slurm) -> dict[str, str]:
    """The memory that each job asked for, by the job's name."""
    return dict(line.split("|") for line in slurm.ask("sacct", "-X", "-n", "-P", "-o", "JobName,ReqMem").splitlines())
