"""Where a sweep's workers run: settings are layered and checked, and a run whose job has left the queue is free."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace

import pytest

from optathlon.results import State, Store, load_results
from optathlon.results.record import Owner
from optathlon.results.store.files import utc
from optathlon.slurm.cluster import Alive, ClusterError, Resources
from optathlon.slurm.slurm import SlurmCluster
from optathlon.suite.errors import UsageError
from optathlon.suite.launching.launch import Launch, Wishes
from optathlon.suite.monitoring import alive_workers
from optathlon.suite.monitoring.alive_workers import Submitted, Workers
from optathlon.suite.monitoring.status import overview
from optathlon.suite.planning import cluster_settings, sweep_reader
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.scope import Scope
from tests.suite.sweeps import SWEEP, optathlon, write

BAD = {
    "unknown key": ('partitoin = "gpu"', "cluster.partitoin: unknown (did you mean partition?)"),
    "kind": ('kind = "pbs"', 'cluster.kind: must be "local" or "slurm", not \'pbs\''),
    "time": ('time = "12:30"', 'cluster.time: must be minutes, 90, or "HH:MM:SS", or "D-HH:MM:SS", not \'12:30\''),
    "no time": ("time = 0", "cluster.time: must be minutes"),
    "time as a float": ("time = 1.5", "cluster.time: must be minutes"),
    "memory without a unit": ("memory = 32", 'cluster.memory: must be text with a unit, "32G", not 32'),
    "gpus": ('gpus = "a100"', "cluster.gpus: must be a number, or a type and a number"),
    "gpus true": ("gpus = true", "cluster.gpus: must be a number"),
    "cpus": ("cpus = 0", "cluster.cpus: must be a whole number from 1 on, not 0"),
    "partition": ('partition = ""', "cluster.partition: must be text on one line"),
    "two lines": ('account = "a\\nb"', "cluster.account: must be text on one line"),
    "setup": ('setup = "module load cuda"', "cluster.setup: must be a list of texts"),
    "sbatch": ('sbatch = "--nice"', "cluster.sbatch: must be a table of sbatch's options"),
    "sbatch of ours": ("sbatch.array = 3", "cluster.sbatch: --array is set by the suite"),
    "sbatch with a key": ('sbatch.mem = "1G"', "cluster.sbatch: --mem is set by cluster.memory"),
    "sbatch list": ("sbatch.nice = [1]", "cluster.sbatch: nice must be text, a number or true"),
    "an option's name": ('sbatch."nice\\n#SBATCH --array" = 1', "must be the long name of an option of sbatch"),
    "a short option": ("sbatch.p = 'gpu'", "cluster.sbatch: 'p' must be the long name of an option of sbatch"),
    "sbatch that submits nothing": ("sbatch.test_only = true", "cluster.sbatch: --test-only is no option for a launch"),
    "sbatch that stays": ("sbatch.wait = true", "cluster.sbatch: --wait is no option for a launch"),
    "setup of several lines": ('setup = ["a\\nb"]', "cluster.setup: must be a list of texts on one line each"),
    "setup with options": ('setup = ["#SBATCH --array=0-9"]', "cluster.setup: must leave options of sbatch to"),
    "not a table": ("", "cluster: must be a table"),
}


def table(text: str) -> str:
    return SWEEP + (f"\n[cluster]\n{text}\n" if text else "")


@pytest.mark.parametrize("case", BAD)
def test_a_mistake_is_named(case, tmp_path):
    text, expected = BAD[case]
    written = table(text) if text else SWEEP.replace("scale =", "cluster = 3\nscale =")
    with pytest.raises(UsageError) as error:
        sweep_reader.load(write(tmp_path, written))
    assert expected in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "sweep.toml"))


def test_a_mistake_for_one_task_is_named(tmp_path):
    text = SWEEP + '\n[override."toy:TASK".cluster]\nworkers = 3\n'
    with pytest.raises(UsageError, match=r"override.toy:TASK.cluster.workers: unknown"):
        sweep_reader.load(write(tmp_path, text))


@pytest.mark.parametrize(
    ("written", "minutes"),
    [
        ("90", 90),
        ('"01:30:00"', 90),
        ("01:30:00", 90),
        ('"2-00:00:00"', 2880),
        ('"00:00:01"', 1),
        ('"100:00:00"', 6000),
    ],
)
def test_a_time_limit_is_in_minutes_or_as_slurm_writes_it(written, minutes, tmp_path):
    assert sweep_reader.load(write(tmp_path, table(f"time = {written}"))).cluster == {"time": minutes}


def test_the_command_line_counts_over_the_sweep_and_the_sweep_over_the_users_file(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert cluster_settings.user_table() == {}
    cluster_settings.user_file().parent.mkdir()
    cluster_settings.user_file().write_text('kind = "slurm"\npartition = "old"\naccount = "lab"\nsbatch.nice = 5\n')
    given = cluster_settings.given_table(["partition=new", "sbatch.comment=x", "time=01:00:00", "gpus=2"], None, None)
    own = cluster_settings.parse({"partition": "mine", "sbatch": {"nice": 7}}, "sweep.toml")
    found = cluster_settings.settings([cluster_settings.user_table(), own, given])
    assert (found.kind, found.workers, found.at_once) == ("slurm", cluster_settings.WORKERS, 2)
    assert found.resources == Resources(
        partition="new", account="lab", minutes=60, gpus="2", cpus=2, sbatch={"nice": 7, "comment": "x"}
    )
    assert (
        cluster_settings.settings([cluster_settings.user_table(), cluster_settings.given_table([], "local", 3)]).kind
        == "local"
    )


def test_the_command_line_takes_numbers_for_names_and_refuses_two_shapes_of_a_value():
    found = cluster_settings.given_table(["account=1234", 'partition="7"', "constraint=true"], None, None)
    assert found == {"account": "1234", "partition": "7", "constraint": "true"}
    for words in (["sbatch=3", "sbatch.nice=5"], ["partition=x", "partition.y=5"]):
        with pytest.raises(UsageError, match="has a value already"):
            cluster_settings.given_table(words, None, None)


def test_the_users_file_is_where_the_standard_says(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative", "./config"):
        monkeypatch.setenv("XDG_CONFIG_HOME", value)
        assert cluster_settings.user_file() == tmp_path / ".config/optathlon/cluster.toml"
    (tmp_path / ".config").touch()
    assert cluster_settings.user_table() == {}, "no folder, no settings"


def test_the_users_file_is_checked_too(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    cluster_settings.user_file().parent.mkdir()
    for text, expected in (("cpsu = 2", "cluster.toml: cpsu: unknown (did you mean cpus?)"), ("cpus", "unreadable")):
        cluster_settings.user_file().write_text(text)
        with pytest.raises(UsageError, match=expected.replace("(", r"\(").replace("?", r"\?").replace(")", r"\)")):
            cluster_settings.user_table()


def test_what_cannot_fit_together_is_refused():
    with pytest.raises(UsageError, match=r"cluster.time: 2 min leave nothing to train in"):
        cluster_settings.settings([{"time": 2}])
    assert cluster_settings.settings([{"time": 1, "notice": 10}]).resources.minutes == 1
    with pytest.raises(UsageError, match=r"nodes × processes = 8"):
        cluster_settings.settings([{"nodes": 2, "processes": 4, "slots": 2}])


def test_a_worker_has_a_core_for_each_run_and_each_process_that_loads_its_data():
    assert cluster_settings.settings([{"gpus": "a100:4"}], data_workers=3).resources.cpus == 16
    assert cluster_settings.settings([{"gpus": "1", "slots": 3}]).resources.cpus == 3
    assert cluster_settings.settings([{"gpus": "4", "processes": 4}], data_workers=3).resources.cpus == 4
    assert cluster_settings.settings([{"gpus": "4", "cpus": 2}], data_workers=3).resources.cpus == 2


TUNED = SWEEP.replace("seeds = [0, 1]", "seeds = {tune = [0, 1], report = [5, 6, 7]}").replace(
    '"toy:TASK"', '"toy:TASK", "toy:LINEAR"'
)


def test_tasks_with_settings_of_their_own_have_a_shape_of_their_own(tmp_path):
    text = TUNED + '\n[cluster]\nmemory = "8G"\n[override."toy:LINEAR".cluster]\nmemory = "64G"\n'
    begun = Launch(sweep_reader.load(write(tmp_path, text)), Store(tmp_path / "store"), Wishes(data=tmp_path))
    assert [(s.resources.memory, scope) for s, scope in begun.shapes] == [
        ("8G", Scope(frozenset({"toy:TASK"}))),
        ("64G", Scope(frozenset({"toy:LINEAR"}))),
    ]
    given = Wishes(data=tmp_path, cluster=["memory=1G"])
    begun = Launch(sweep_reader.load(write(tmp_path, text)), Store(tmp_path / "store"), given)
    assert [s.resources.memory for s, _ in begun.shapes] == ["1G"], "the command line counts over both"


def test_a_cluster_makes_no_run_another(tmp_path):
    plans = [expand(sweep_reader.load(write(tmp_path, text)), tmp_path) for text in (SWEEP, table('partition = "gpu"'))]
    assert plans[0].head.digest == plans[1].head.digest


def owner(job: str | None) -> Owner:
    return Owner(host="h", boot="b", pid_namespace="n", pid=1, started="1", job=job)


def test_a_run_whose_job_has_left_the_queue_is_lost_and_no_other_is():
    workers = Workers(
        {
            Submitted("slurm:c:ana:a", "slurm", 1): Alive(
                running=("slurm:c:ana:a:1_0",), pending=("slurm:c:ana:a:1_1",)
            ),
            Submitted("slurm:c:ana:b", "slurm", 1): Alive(known=False),
        }
    )
    states = {
        "runs": State(kind="running", owner=owner("slurm:c:ana:a:1_0")),
        "requeued": State(kind="running", owner=owner("slurm:c:ana:a:1_1")),
        "lost": State(kind="running", owner=owner("slurm:c:ana:a:1_2")),
        "silent": State(kind="running", owner=owner("slurm:c:ana:b:2_0")),
        "elsewhere": State(kind="running", owner=owner("slurm:d:ana:c:3_0")),
        "here": State(kind="running", owner=owner(None)),
        "stopped": State(kind="stopped", owner=owner("slurm:c:ana:a:1_2")),
    }
    assert workers.lost(states) == ["lost"]


@pytest.mark.parametrize(
    ("state", "kind"), [("TIMEOUT", "stopped"), ("PREEMPTED", "stopped"), ("FAILED", "failed"), (None, "failed")]
)
def test_what_slurm_ended_without_a_word_is_no_failure_of_the_run(state, kind, tmp_path, monkeypatch):
    store = Store(tmp_path / "store")
    begun = Launch(sweep_reader.load(write(tmp_path, SWEEP)), store, Wishes(data=tmp_path))
    run, job = begun.plan.runs[0].id, "slurm:c:ana:a:1_0"
    assert store.claim(run, owner(job))
    begun.overview = overview(store, begun.plan)
    slurm = SimpleNamespace(ended=lambda names: {name: state for name in names if state})
    monkeypatch.setattr(Launch, "_cluster", lambda _: slurm)
    begun._mark_lost_as_ended(Workers({Submitted("slurm:c:ana:a", "slurm", 1): Alive()}), "slurm:c:ana:")
    (ended,) = store.endings(run).values()
    assert (ended.kind, ended.failure) == (kind, "lost" if kind == "failed" else "")
    assert "1_0" in ended.reason
    assert store.states([run])[run].barren == (kind == "failed")


def test_a_follow_up_takes_the_runs_that_died_with_what_it_follows_and_no_others(tmp_path, monkeypatch):
    """On another node, without a launch and where Slurm's commands are missing."""
    monkeypatch.setenv("PATH", "/nowhere")
    store = Store(tmp_path / "store")
    plan = expand(sweep_reader.load(write(tmp_path, SWEEP)), tmp_path)
    followed, other, local = [run.id for run in plan.runs][:3]
    for run, job in ((followed, "slurm:c:ana:a:1_0"), (other, "slurm:c:ana:b:2_0"), (local, None)):
        assert store.claim(run, owner(job))
    slurm = SlurmCluster()
    for _ in range(2):  # each copy of the follow-up does it
        alive_workers.mark_followed_as_ended(store, plan, ["slurm:c:ana:a"], slurm)
    assert [bool(store.endings(run)) for run in (followed, other, local)] == [True, False, False]
    assert store.claim(followed, owner("slurm:c:ana:next:3_0"))
    alive_workers.mark_followed_as_ended(store, plan, ["slurm:c:ana:a"], slurm)
    assert store.states([followed])[followed].kind == "running"


def test_the_folder_of_jobs_is_the_groups_and_a_job_is_its_users(tmp_path, monkeypatch):
    root = tmp_path / "store"
    root.mkdir()
    root.chmod(0o770)
    before = os.umask(0o022)
    try:
        started = Launch(sweep_reader.load(write(tmp_path, SWEEP)), Store(root), Wishes(data=tmp_path)).carry_out()
    finally:
        os.umask(before)
    alive_workers.cluster("local").cancel(started.started)
    (job,) = (root / "jobs").glob("*/*")
    assert (root / "jobs").stat().st_mode & 0o777 == 0o775
    assert (job.parent.stat().st_mode & 0o777, job.stat().st_mode & 0o777) == (0o755, 0o700)


def test_a_launch_that_is_submitting_is_seen_until_it_has_or_has_not(tmp_path):
    store = Store(tmp_path)
    job = {"handle": "slurm:c:ana:x", "stage": "all", "tasks": [], "copies": 1, "folder": "jobs/ana/x"}
    now, long_ago = utc(), "2020-01-01T00:00:00Z"
    for created, plan in ((long_ago, 1), (now, 1), (now, 2)):
        store.put_submission("toys", {"plan": plan, "cluster": "slurm", "created": created, "jobs": [job]})
    assert alive_workers.submitting(store, "toys", 1)
    (tmp_path / "jobs/ana/x").mkdir(parents=True)
    (tmp_path / "jobs/ana/x" / alive_workers.HANDLE).touch()
    assert not alive_workers.submitting(store, "toys", 1)


@pytest.mark.parametrize("ahead", [-6 * 3600, 6 * 3600])
def test_a_launch_that_is_submitting_is_seen_whatever_the_clocks_of_both_machines_say(ahead, tmp_path, monkeypatch):
    now = time.time
    job = {"handle": "slurm:c:ana:x", "stage": "all", "tasks": [], "copies": 1, "folder": "jobs/ana/x"}
    monkeypatch.setattr(time, "time", lambda: now() + ahead)
    Store(tmp_path).put_submission("toys", {"plan": 1, "cluster": "slurm", "jobs": [job]})
    monkeypatch.setattr(time, "time", lambda: now() - ahead)
    assert alive_workers.submitting(Store(tmp_path), "toys", 1)


def test_without_slurm_a_launch_on_it_is_refused_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    alive_workers.cluster.cache_clear()
    begun = Launch(
        sweep_reader.load(write(tmp_path, SWEEP)), Store(tmp_path / "store"), Wishes(data=tmp_path, on="slurm")
    )
    with pytest.raises(ClusterError, match="not part of a Slurm cluster"):
        begun.carry_out()
    assert begun.scripts()  # as a cluster of documented defaults would get them
    assert not (tmp_path / "store").exists()


@pytest.mark.slow
def test_where_the_gpus_do_not_work_no_run_is_tried(tmp_path):
    """One such node would else fail run after run."""
    write(tmp_path, SWEEP)
    done = optathlon(tmp_path, "launch", "sweep.toml", CUDA_VISIBLE_DEVICES="77")
    assert done.returncode == 1
    assert "4 runs are left, and no worker is alive" in done.stderr
    (log,) = (tmp_path / "store/jobs").rglob("log.txt")
    assert "cannot be used" in log.read_text()
    assert "cannot be used, as said above" in optathlon(tmp_path, "status", "toys").stdout
    assert not (tmp_path / "store/work").exists()


@pytest.mark.slow
def test_a_sweep_with_looks_goes_on_by_itself_and_ends_with_the_look_that_decides(tmp_path):
    """Whichever look decides it: there are as many runs as that look has seeds, by one launch alone."""
    blocks = "".join(
        f'[[optimizer]]\nname = "sgd"\nlabel = "{label}"\nfixed.lr = {rate}\n'
        for label, rate in (("sgd", 0.1), ("near", 0.11))
    )
    head = (
        'name = "toys"\nscale = "smoke"\ntasks = ["toy:TASK"]\nprotocol.length = 1\nseeds.report = {looks = [2, 3]}\n'
    )
    write(tmp_path, head + blocks)
    assert optathlon(tmp_path, "launch", "sweep.toml", "--slots", 2).returncode == 0
    results = load_results(store := Store(tmp_path / "store"), store.plan("toys"))
    near = results.board.cell("near", "toy:TASK")
    sgd = results.board.cell("sgd", "toy:TASK")
    assert results.board.looks_over == (2 if near.decided_at is None else [2, 3].index(near.decided_at) + 1)
    assert near.n == sgd.n == (near.decided_at or 3)
    assert len(store.finished()) == near.n + sgd.n
