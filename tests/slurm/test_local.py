"""Jobs on this machine are detached, can be asked about by other processes, and are cancelled as a whole."""

from __future__ import annotations

import os
import subprocess
import sys

from optathlon.slurm.cluster import Alive, Job
from optathlon.slurm.local import LocalCluster
from tests.suite.sweeps import ROOT
from tests.waiting import wait_for


def job(folder, code: str) -> Job:
    return Job((sys.executable, "-S", "-c", code), "test", folder / "job")


def test_a_job_is_running_until_it_is_gone(tmp_path):
    cluster = LocalCluster()
    until_told = "import os, time\nwhile not os.path.exists('go'): time.sleep(0.01)\nprint('done')"
    handle = cluster.submit(job(tmp_path, f"import os; os.chdir({str(tmp_path)!r})\n{until_told}"))
    assert cluster.alive([handle])[handle].running == (handle,)
    (tmp_path / "go").touch()
    wait_for(lambda: cluster.alive([handle]) == {handle: Alive()})
    assert (tmp_path / "job" / "log.txt").read_text() == "done\n"


def test_its_folder_is_private(tmp_path):
    LocalCluster().submit(job(tmp_path, ""))
    assert (tmp_path / "job").stat().st_mode & 0o777 == 0o700


def test_it_survives_its_launcher_and_its_terminal(tmp_path):
    launcher = (
        "import sys; from pathlib import Path; from optathlon.slurm.cluster import Job;"
        "from optathlon.slurm.local import LocalCluster;"
        "sleep = (sys.executable, '-S', '-c', 'import time; time.sleep(600)');"
        "print(LocalCluster().submit(Job(sleep, 'x', Path('job'))))"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", launcher], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    handle = done.stdout.strip()
    assert LocalCluster().alive([handle])[handle].running == (handle,)
    pid = int(handle.split(":")[3])
    assert os.getsid(pid) == pid, "it shares a session with somebody whose Ctrl-C would reach it"
    assert LocalCluster().cancel([handle]) == [handle]
    wait_for(lambda: LocalCluster().alive([handle]) == {handle: Alive()})


def test_cancel_reaches_the_jobs_children(tmp_path):
    child_code = "    open('writing', 'w').write(str(os.getpid())); os.rename('writing', 'child'); time.sleep(600)"
    code = f"import os, time\nif os.fork() == 0:\n{child_code}\nos.wait()"
    cluster = LocalCluster()
    handle = cluster.submit(job(tmp_path, code))
    file = tmp_path / "job" / "child"
    wait_for(file.exists)
    cluster.cancel([handle])
    child = int(file.read_text())
    wait_for(lambda: not alive(child))


def alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_a_recycled_process_id_is_not_the_job(tmp_path):
    handle = LocalCluster().submit(job(tmp_path, "import time; time.sleep(600)"))
    kind, host, boot, pid, started = handle.split(":")
    other = ":".join((kind, host, boot, pid, str(int(started) - 1)))
    assert LocalCluster().alive([other]) == {other: Alive()}
    assert LocalCluster().cancel([other]) == []
    LocalCluster().cancel([handle])


def test_jobs_of_another_machine_are_unknown():
    assert not LocalCluster().alive(["local:elsewhere:b:1:2"])["local:elsewhere:b:1:2"].known
    assert LocalCluster().cancel(["local:elsewhere:b:1:2"]) == []


def test_a_job_started_from_one_of_several_processes_is_none_of_them(tmp_path, monkeypatch):
    for name in ("RANK", "WORLD_SIZE", "MASTER_ADDR", "SLURM_PROCID", "SLURM_STEP_ID", "SLURM_STEP_NUM_TASKS"):
        monkeypatch.setenv(name, "2")
    monkeypatch.setenv("SLURM_JOB_ID", "7")  # whose cores and GPUs it may use all the same
    cluster = LocalCluster()
    handle = cluster.submit(job(tmp_path, "import os; print(sorted(k for k in os.environ if k[:5] in SEEN))".replace(
        "SEEN", "('RANK', 'WORLD', 'MASTE', 'SLURM')"
    )))  # fmt: skip
    wait_for(lambda: cluster.alive([handle]) == {handle: Alive()})
    assert (tmp_path / "job" / "log.txt").read_text() == "['SLURM_JOB_ID']\n"
