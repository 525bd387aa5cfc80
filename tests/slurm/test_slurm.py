"""Jobs on a real Slurm: arrays that are found again by name, save when they are told to stop, and are put back."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from optathlon.slurm import site
from optathlon.slurm.cluster import PYTHON, Alive, ClusterError, Job, Resources, position_in_array, this_job
from optathlon.slurm.slurm import SlurmCluster
from tests.waiting import wait_for

HERE = Path(__file__).resolve().parent

# Says who it is, sleeps until there is a file `enough`, and saves when it is told to stop: what a worker does, without
# its imports.
WORKER = """
import json, os, signal, sys, time
told = []
for number in (signal.SIGTERM, signal.SIGUSR2):
    signal.signal(number, lambda n, _: told.append(n))
signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGTERM, signal.SIGUSR2))
from optathlon.slurm.cluster import position_in_array, this_job
name, restart = this_job()
seen = f"seen-{name.rpartition(':')[2]}-{restart}"
with open(f"writing-{seen}", "w") as file:
    json.dump({"name": name, "restart": restart, "place": position_in_array()}, file)
os.rename(f"writing-{seen}", seen)  # whoever waits for it never reads half of it
until = time.monotonic() + float(sys.argv[1]) * (restart == 0)
while time.monotonic() < until and not os.path.exists("enough"):
    time.sleep(0.05)
    if told:
        open(f"saved-{name.rpartition(':')[2]}-{restart}", "w").close()
        sys.exit(75)
"""


def job(folder: Path, name: str, seconds: float = 0.0, **more) -> Job:
    return Job((PYTHON, "-c", WORKER, str(seconds)), f"{folder.name}-{name}", folder / name, **more)


def gone(handle: str) -> bool:
    return SlurmCluster().alive([handle]) == {handle: Alive()}


def reports(folder: Path, count: int = 1) -> list[dict]:
    """What so many starts of a job's copies said of themselves, once they have: each start says it once."""
    seen = wait_for(lambda: found if len(found := sorted(folder.glob("seen-*"))) >= count else [])
    return [json.loads(path.read_text()) for path in seen]


@pytest.mark.slow
def test_every_copy_knows_the_name_that_the_queue_shows(slurm, tmp_path):
    cluster = SlurmCluster()
    handle = cluster.submit(job(tmp_path, "three", seconds=600, copies=3))
    assert handle == cluster.handle(f"{tmp_path.name}-three")
    inside = reports(tmp_path / "three", 3)
    names = SlurmCluster().alive([handle])[handle].running
    assert sorted(names) == sorted(each["name"] for each in inside)
    assert sorted(each["place"] for each in inside) == [0, 1 / 3, 2 / 3]
    assert (tmp_path / "three").stat().st_mode & 0o777 == 0o700


@pytest.mark.slow
def test_a_job_waits_for_those_it_comes_after(slurm, tmp_path):
    cluster = SlurmCluster()
    first = cluster.submit(job(tmp_path, "first", seconds=600, copies=2))
    by_name = SlurmCluster()  # another process, which has not submitted it
    second = by_name.submit(job(tmp_path, "second", after=(first,)))
    wait_for(lambda: SlurmCluster().alive([second])[second].reasons == {"Dependency"})
    reports(tmp_path / "first", 2)
    assert SlurmCluster().alive([second])[second].pending
    (tmp_path / "first" / "enough").touch()
    wait_for(lambda: gone(second))
    begun = (tmp_path / "second").glob("seen-*").__next__().stat().st_mtime
    ended = max(path.stat().st_mtime for path in (tmp_path / "first").glob("*_result.pkl"))
    assert begun >= ended


@pytest.mark.slow
def test_what_is_told_to_stop_saves_and_runs_again(slurm, tmp_path):
    """By the site, by the signal before the time limit, by a warning before a preemption, and by a preemption."""
    elsewhere, whole_node = Resources(exclude="node1"), Resources(cpus=4, sbatch={"nodelist": "node1"})
    ways = {
        "requeued": (["scontrol", "requeue"], elsewhere),
        "signaled": (["scancel", "--signal=USR2"], elsewhere),
        "warned": (["scancel", "--signal=TERM"], elsewhere),
        "preempted": (["srun", "-p", "high", "-w", "node1", "-c", "4", "true"], whole_node),
    }
    cluster = SlurmCluster()
    handles = {
        way: cluster.submit(job(tmp_path, way, seconds=600, resources=where)) for way, (_, where) in ways.items()
    }
    for way in ways:
        reports(tmp_path / way)
    names = {way: SlurmCluster().alive([handle])[handle].running[0] for way, handle in handles.items()}
    for way, (words, _) in ways.items():
        slurm.ask(*words, *([] if way == "preempted" else [names[way].rpartition(":")[2]]))
    for way, handle in handles.items():
        first, second = reports(tmp_path / way, 2)
        assert (way, first["restart"], second["restart"]) == (way, 0, 1)
        assert first["name"] == second["name"] == names[way]
        assert list((tmp_path / way).glob("saved-*-0")), f"{way}: it was not given the time to save"
        wait_for(lambda handle=handle: gone(handle))


@pytest.mark.slow
def test_a_site_that_does_not_requeue_by_itself_requeues_ours(slurm, tmp_path):
    before = slurm.configuration.read_text()
    slurm.configuration.write_text(before.replace("JobRequeue=1", "JobRequeue=0"))
    slurm.ask("scontrol", "reconfigure")
    try:
        cluster = SlurmCluster()
        wait_for(lambda: not site.site().requeues)
        handle = cluster.submit(job(tmp_path, "job", seconds=600))
        reports(tmp_path / "job")
        (name,) = SlurmCluster().alive([handle])[handle].running
        slurm.ask("scontrol", "requeue", name.rpartition(":")[2])
        assert {each["restart"] for each in reports(tmp_path / "job", 2)} == {0, 1}
        wait_for(lambda: gone(handle))
    finally:
        slurm.configuration.write_text(before)
        slurm.ask("scontrol", "reconfigure")


@pytest.mark.slow
def test_cancelled_is_saved_and_does_not_run_again_and_nobody_elses_is_touched(slurm, tmp_path):
    cluster = SlurmCluster()
    mine, other = (cluster.submit(job(tmp_path, name, seconds=600, copies=2)) for name in ("mine", "other"))
    for name in ("mine", "other"):
        reports(tmp_path / name, 2)
    names = SlurmCluster().alive([mine])[mine].running
    assert cluster.ended(names) == {}, "they are at work"
    assert cluster.cancel([mine]) == [mine]
    wait_for(lambda: gone(mine))
    wait_for(lambda: SlurmCluster().ended(names) == dict.fromkeys(names, "CANCELLED"))
    assert cluster.ended([name.replace("mine", "other") for name in names]) == {}, "an id is not a job"
    assert len(list((tmp_path / "mine").glob("saved-*-0"))) == 2
    assert {each["restart"] for each in reports(tmp_path / "mine", 2)} == {0}
    assert len(SlurmCluster().alive([other])[other].running) == 2
    assert cluster.cancel([mine]) == []


@pytest.mark.slow
def test_a_job_of_more_copies_than_an_array_may_have_is_several(slurm, tmp_path):
    cluster = SlurmCluster()
    assert cluster.site.max_array_size == 101
    held = Resources(sbatch={"hold": True})
    handle = cluster.submit(job(tmp_path, "many", copies=230, resources=held))
    there = cluster.alive([handle])[handle]
    arrays = {name.rpartition(":")[2].partition("_")[0] for name in there.pending}
    assert (len(arrays), len(there.pending)) == (3, 230)
    assert there.reasons == {"JobHeldUser"}
    cluster.cancel([handle])
    wait_for(lambda: gone(handle))


@pytest.mark.slow
def test_a_silent_controller_is_no_answer_and_no_end(slurm, tmp_path):
    handle = SlurmCluster().submit(job(tmp_path, "job", seconds=600))
    reports(tmp_path / "job")
    slurm.stop_controller()
    try:
        assert not SlurmCluster().alive([handle])[handle].known
    finally:
        slurm.start_controller()
    wait_for(lambda: SlurmCluster().alive([handle])[handle].running)


@pytest.mark.slow
def test_what_the_cluster_refuses_is_said_in_its_words_before_anything_is_submitted(slurm, tmp_path):
    bad = job(tmp_path, "bad", resources=Resources(partition="nowhere"))
    for act in (SlurmCluster().check, SlurmCluster().submit):
        with pytest.raises(ClusterError, match=r"^sbatch: .*invalid partition"):
            act(bad)
    SlurmCluster().check(job(tmp_path, "good", resources=Resources(gpus="2", memory="1G", minutes=90)))
    assert not (tmp_path / "good").exists()


@pytest.mark.slow
def test_more_time_than_the_partition_gives_is_refused_and_not_waited_for(slurm, tmp_path):
    """Slurm takes such a job, and lets it wait forever."""
    slurm.ask("scontrol", "update", "partitionname=high", "maxtime=90")
    try:
        for minutes in (90, None):
            SlurmCluster().check(job(tmp_path, "fits", resources=Resources(partition="high", minutes=minutes)))
        SlurmCluster().check(job(tmp_path, "either", resources=Resources(partition="high,main", minutes=91)))
        with pytest.raises(ClusterError, match="partition high gives a job 90 min at most, 91 are asked for"):
            SlurmCluster().check(job(tmp_path, "longer", resources=Resources(partition="high", minutes=91)))
    finally:
        slurm.ask("scontrol", "update", "partitionname=high", "maxtime=unlimited")


@pytest.mark.slow
def test_how_the_user_likes_to_look_at_the_queue_hides_no_job(slurm, tmp_path, monkeypatch):
    handle = SlurmCluster().submit(job(tmp_path, "held", resources=Resources(sbatch={"hold": True})))
    for key, value in (("SQUEUE_PARTITION", "high"), ("SQUEUE_ACCOUNT", "other"), ("SCANCEL_PARTITION", "high")):
        monkeypatch.setenv(key, value)
    assert SlurmCluster().alive([handle])[handle].pending
    assert SlurmCluster().cancel([handle]) == [handle]
    wait_for(lambda: gone(handle))


@pytest.mark.slow
def test_the_users_defaults_count_where_nothing_is_asked_for_and_a_jobs_environment_does_not(
    slurm, tmp_path, monkeypatch
):
    monkeypatch.setenv("SBATCH_PARTITION", "nowhere")
    monkeypatch.setenv("SLURM_JOB_ID", "1")
    monkeypatch.setenv("SBATCH_TIMELIMIT", "wrong")
    with pytest.raises(ClusterError, match="invalid partition"):
        SlurmCluster().check(job(tmp_path, "bad"))
    SlurmCluster().check(job(tmp_path, "good", resources=Resources(partition="high")))


@pytest.mark.slow
def test_room_is_what_the_limits_leave(slurm, tmp_path):
    cluster = SlurmCluster()
    assert cluster.room() is None
    slurm.ask("sacctmgr", "-i", "modify", "qos", "normal", "set", "MaxSubmitJobsPerUser=7")
    try:
        handle = cluster.submit(job(tmp_path, "job", copies=3, resources=Resources(sbatch={"hold": True})))
        assert SlurmCluster().room() == 4
    finally:
        slurm.ask("sacctmgr", "-i", "modify", "qos", "normal", "set", "MaxSubmitJobsPerUser=-1")
        cluster.cancel([handle])


def test_outside_of_a_job_there_is_no_name():
    assert this_job({}) == (None, 0)
    assert position_in_array({}) == 0.0


@pytest.fixture
def described(tmp_path, monkeypatch):
    """A cluster that is described only: enough to see what would be submitted to it."""
    (tmp_path / "srun").touch(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    cluster = SlurmCluster()
    cluster.site = site.Site(name="c", version="slurm 23.11.4", max_array_size=1001, requeues=True, accounting=True)
    return cluster


def test_the_script_is_as_recorded(described):
    resources = Resources(
        partition="gpu", account="lab", qos="long", constraint="a100&nvlink", reservation="week", exclude="node[7-8]",
        nodes=2, processes=4, gpus="a100:4", cpus=6, memory="120G", minutes=1440, notice=300,
        setup=("module load cuda", "source /home/ana/venv/bin/activate"), python="python",
        srun=("--container-image=/images/suite.sqsh",), sbatch={"nice": 100, "exclusive": True},
    )  # fmt: skip
    job = Job((PYTHON, "-V"), "sweep-0001-tune-ab12-0", Path("/store/jobs/ana/sweep-0001-tune-ab12-0"), copies=1500,
              resources=resources)  # fmt: skip
    first, second = described.scripts(job)
    assert first == (HERE / "golden_script.sh").read_text()
    assert second == first.replace("0-1000%1001", "0-498%499")


@pytest.mark.parametrize("name", ["100%", "%j", "back\\slash", "two\nlines"])
def test_a_folder_that_slurm_would_read_as_a_pattern_is_refused(described, name):
    with pytest.raises(ClusterError, match="move the store"):
        described.scripts(Job((PYTHON, "-V"), "job", Path("/jobs") / name))
    described.scripts(Job((PYTHON, "-V"), "job", Path("/jobs/größe 3 $HOME 'x'")))


def test_a_cluster_without_arrays_is_given_single_jobs(described, monkeypatch):
    said = (
        "ClusterName = c\nMaxArraySize            = 0\nJobRequeue = 0\nAccountingStorageType = accounting_storage/none"
    )
    monkeypatch.setattr(site, "ask", lambda *_: said)
    described.site = site.site()
    assert (described.site.requeues, described.site.accounting) == (False, False)
    scripts = described.scripts(Job((PYTHON, "-V"), "job", Path("/jobs/job"), copies=3))
    assert [script.count("--array") for script in scripts] == [0, 0, 0]


@pytest.mark.parametrize(
    ("program", "patience", "expected"),
    [
        (None, 60, "there is no squeue here"),
        ("#!/bin/sh\nexec /bin/sleep 600", 0.3, "squeue: no answer from the Slurm controller within 0 s"),
        ("#!/bin/sh\necho 'slurm_load_jobs error: Socket timed out' >&2; exit 1", 60, "squeue: .*Socket timed out"),
        ("no program", 60, "squeue cannot be started: Permission denied"),
    ],
)
def test_a_program_of_slurms_that_is_not_there_hangs_or_fails_is_one_line(
    program, patience, expected, tmp_path, monkeypatch
):
    monkeypatch.setattr(site, "PATIENCE_SECONDS", patience)
    monkeypatch.setenv("PATH", str(tmp_path))
    if program:
        (tmp_path / "squeue").write_text(program)
        (tmp_path / "squeue").chmod(0o755 if program.startswith("#!") else 0o644)
    with pytest.raises(ClusterError, match=expected) as error:
        site.queue(["ana"])
    assert "\n" not in str(error.value)


def test_only_what_is_asked_for_is_in_the_script(described):
    (script,) = described.scripts(Job((PYTHON, "-V"), "job", Path("/jobs/job"), resources=Resources(python="python")))
    assert script == (HERE / "golden_plain.sh").read_text()


def test_the_scripts_are_shell():
    for path in HERE.glob("golden_*.sh"):
        subprocess.run(["bash", "-n", path], check=True)
