"""A slot is held by one run at a time on this machine, whoever launched it, and is free when its holder is dead."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from optathlon.slurm import slots
from optathlon.slurm.cluster import ClusterError
from tests.suite.sweeps import ROOT

HOLD = (
    "import sys; from pathlib import Path; from optathlon.slurm import slots;"
    "held = slots.acquire(set(), Path(sys.argv[1])); print(held.name if held else None, flush=True); sys.stdin.read()"
)


@pytest.fixture
def one_core(monkeypatch):
    monkeypatch.setattr(slots, "names", lambda *_: ["core-0"])


def holder(folder):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    return process, process.stdout.readline().strip()


def test_two_launches_do_not_share_a_slot(tmp_path, one_core):
    process, name = holder(tmp_path)
    assert name == "core-0"
    assert slots.acquire(set(), tmp_path) is None
    process.kill()
    process.wait()
    assert slots.acquire(set(), tmp_path).name == "core-0"


def test_a_slot_stays_taken_while_a_forked_child_lives_and_is_free_once_released(tmp_path, one_core):
    slot = slots.acquire(set(), tmp_path)
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    slot.release()
    again = slots.acquire(set(), tmp_path)
    assert again is not None, "a sibling's copy of the descriptor kept the lock"
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)


def test_a_process_takes_each_of_its_slots_once(tmp_path, monkeypatch):
    monkeypatch.setattr(slots, "names", lambda *_: ["core-0", "core-1"])
    first = slots.acquire(set(), tmp_path)
    second = slots.acquire({first.name}, tmp_path)
    assert {first.name, second.name} == {"core-0", "core-1"}
    assert slots.acquire({first.name, second.name}, tmp_path) is None


def test_slots_are_the_visible_gpus_or_else_the_cores(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert slots.names() == ["gpu-2", "gpu-5"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert slots.names() == [f"core-{i}" for i in range(len(os.sched_getaffinity(0)))]


@pytest.mark.parametrize(
    ("visible", "gpus"),
    [
        ("NoDevFiles", []),
        ("none", []),
        ("void", []),
        ("-1", []),
        ("0,-1,1", ["0"]),
        ("2, 5", ["2", "5"]),
        ("0,none,1", ["0"]),
        ("1,../../../tmp/x,2", ["1"]),
        ("1,1", []),
        ("GPU-8932f937-d72c,GPU-5a", ["GPU-8932f937-d72c", "GPU-5a"]),
        ("MIG-GPU-8932f937-d72c/1/0,MIG-3f2b", ["MIG-GPU-8932f937-d72c/1/0", "MIG-3f2b"]),
        ("0,²", ["0"]),
    ],
)
def test_visible_gpus_are_read_as_cuda_reads_them(monkeypatch, visible, gpus):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert slots.visible_gpus() == gpus


def test_a_mig_device_with_slashes_in_its_name_has_a_lock_file_like_every_gpu(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-GPU-8932f937-d72c/1/0")
    slot = slots.acquire(set(), tmp_path)
    assert slot.environment == {"CUDA_VISIBLE_DEVICES": "MIG-GPU-8932f937-d72c/1/0"}
    (lock,) = tmp_path.iterdir()
    assert slots.LOCK.fullmatch(lock.name)


def test_a_gpu_slot_shows_its_run_that_gpu_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    assert slots.acquire({"gpu-2"}, tmp_path).environment == {"CUDA_VISIBLE_DEVICES": "5"}


def test_other_users_can_lock_too(tmp_path, one_core):
    folder = tmp_path / "slots"
    slots.acquire(set(), folder)
    assert folder.stat().st_mode & 0o7777 == 0o1777
    assert (folder / "core-0.lock").stat().st_mode & 0o777 == 0o666


def test_more_slots_than_gpus_share_them_in_turn(tmp_path, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert slots.names(at_least=3) == ["gpu-0", "gpu-1", "gpu-0+1", "gpu-1+1"]
    slot = slots.acquire({"gpu-0", "gpu-1", "gpu-0+1"}, tmp_path, at_least=3)
    assert slot.environment == {"CUDA_VISIBLE_DEVICES": "1"}


def test_in_a_slurm_job_the_slots_are_the_jobs_own(monkeypatch, tmp_path):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setenv("OPTATHLON_SLOTS", str(tmp_path / "optathlon-slots"))
    for job in ("7", "8"):
        monkeypatch.setenv("SLURM_JOB_ID", job)
        monkeypatch.setenv("SLURM_CPUS_PER_TASK", "1")
        assert slots.names() == ["core-0"]
        assert slots.acquire(set()).name == "core-0", "another job on this node holds it"


@pytest.mark.parametrize("name", ["our [slots]", "optathlon-slots"])
def test_the_folder_is_in_tmp_unless_the_environment_names_another(name, monkeypatch, tmp_path, one_core):
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("OPTATHLON_SLOTS", str(tmp_path / name))
    with slots.folder() as folder:
        assert folder == tmp_path / name
    slots.acquire(set()).release()
    assert os.listdir(tmp_path / name) == ["core-0.lock"]
    monkeypatch.setattr(slots.tempfile, "gettempdir", lambda: str(tmp_path / "tmp"))
    monkeypatch.delenv("OPTATHLON_SLOTS")
    with slots.folder() as folder:
        assert folder == tmp_path / "tmp" / "optathlon-slots"


def test_two_sessions_of_tests_share_no_slot(one_core):
    mine = slots.acquire(set())  # None where another test of this session holds it already
    code = "import tests.conftest; " + HOLD.replace(", Path(sys.argv[1])", "")
    process = subprocess.Popen(
        [sys.executable, "-c", code.replace("held =", "slots.names = lambda *_: ['core-0']; held =")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={k: v for k, v in os.environ.items() if k != "PYTEST_XDIST_WORKER"} | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.communicate()[0].strip() == "core-0"
    if mine is not None:
        mine.release()


def in_job(monkeypatch, tmp_path, job="7"):
    monkeypatch.setenv("SLURM_JOB_ID", job)
    monkeypatch.setenv("OPTATHLON_SLOTS", str(tmp_path / "optathlon-slots"))


def left_behind(folder, name="core-0.lock"):
    """The folder of a job that was killed."""
    folder.mkdir()
    (folder / name).touch()
    return folder


def test_a_jobs_folder_is_its_own_and_is_gone_when_it_ends(tmp_path, monkeypatch, one_core):
    in_job(monkeypatch, tmp_path)
    with slots.folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        slot = slots.acquire(set(), folder)
        assert os.listdir(tmp_path) == [folder.name]
        slot.release()
    assert os.listdir(tmp_path) == []


def test_what_killed_jobs_left_is_removed_by_the_next_worker_here_also_outside_of_a_job(tmp_path, monkeypatch):
    in_job(monkeypatch, tmp_path)
    monkeypatch.delenv("SLURM_JOB_ID")
    for name in ("optathlon-slots-3", "optathlon-slots-4-0"):
        left_behind(tmp_path / name, "gpu-GPU-3d0ab+1.lock")
    shared = left_behind(tmp_path / "optathlon-slots")
    with slots.folder() as folder:
        assert folder == shared
        assert os.listdir(tmp_path) == ["optathlon-slots"]
    assert os.listdir(shared) == ["core-0.lock"], "others lock there"


def test_the_folder_of_a_job_that_is_alive_stays_even_between_its_runs(tmp_path, monkeypatch, one_core):
    in_job(monkeypatch, tmp_path, "7")
    with slots.folder() as mine:
        in_job(monkeypatch, tmp_path, "8")
        with slots.folder():
            pass
        assert mine.is_dir()
        with slots.folder() as other:
            slot = slots.acquire(set(), other)
        assert other.is_dir(), "a run still holds a slot in it"
        slot.release()
        with slots.folder():
            pass
        assert os.listdir(tmp_path) == [mine.name]


def test_the_run_of_a_killed_worker_keeps_its_jobs_folder(tmp_path, monkeypatch, one_core):
    in_job(monkeypatch, tmp_path)
    read, write = os.pipe()
    with slots.folder() as mine:
        if (pid := os.fork()) == 0:
            os.close(write)
            os.read(read, 1)
            os._exit(0)
    assert mine.is_dir()
    os.close(write)
    os.close(read)
    os.waitpid(pid, 0)
    in_job(monkeypatch, tmp_path, "8")
    with slots.folder():
        assert not mine.exists()


def test_nothing_is_removed_that_is_not_a_jobs_slots(tmp_path, monkeypatch):
    in_job(monkeypatch, tmp_path)
    outside = left_behind(tmp_path / "outside")
    (tmp_path / "optathlon-slots-1").symlink_to(outside)
    (left_behind(tmp_path / "optathlon-slots-2") / "thesis.tex").touch()
    inner = left_behind(tmp_path / "optathlon-slots-3")
    (inner / "core-1.lock").symlink_to(outside / "core-0.lock")
    (left_behind(tmp_path / "optathlon-slots-4") / "core-1.lock").mkdir()
    (tmp_path / "optathlon-slots-5").touch()
    os.mkfifo(left_behind(tmp_path / "optathlon-slots-6") / "core-1.lock")
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.delenv("SLURM_JOB_ID")
    with slots.folder():
        assert sorted(tmp_path.rglob("*")) == before


def test_another_users_folder_is_neither_removed_nor_used(tmp_path, monkeypatch):
    in_job(monkeypatch, tmp_path)
    theirs = left_behind(tmp_path / f"optathlon-slots-7-{os.geteuid() + 1}")
    another = os.geteuid() + 1
    monkeypatch.setattr(slots.os, "geteuid", lambda: another)
    with pytest.raises(ClusterError, match="belongs to another user"), slots.folder():
        pass
    assert (theirs / "core-0.lock").exists()


def test_a_link_where_the_jobs_folder_should_be_is_refused(tmp_path, monkeypatch):
    in_job(monkeypatch, tmp_path)
    (tmp_path / "outside").mkdir()
    (tmp_path / f"optathlon-slots-7-{os.geteuid()}").symlink_to(tmp_path / "outside")
    with pytest.raises(ClusterError, match="must be a folder of this job's own"), slots.folder():
        pass
    assert os.listdir(tmp_path / "outside") == []


def test_where_no_folder_can_be_made_that_is_said(tmp_path, monkeypatch):
    in_job(monkeypatch, tmp_path / "gone")
    with pytest.raises(ClusterError, match=r"gone/optathlon-slots-7-.*: No such file or directory"), slots.folder():
        pass


@pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="this kernel does not show who holds a lock")
def test_who_holds_a_slot_is_told_as_long_as_it_does(tmp_path, one_core):
    assert slots.holders(tmp_path) == {}
    process, _ = holder(tmp_path)
    try:
        assert slots.holders(tmp_path) == {"core-0": process.pid}
    finally:
        process.kill()
        process.wait()
    assert slots.holders(tmp_path) == {}
