"""Where no Slurm is, a dry run prints the scripts for one with Slurm's defaults, and says that it asked nobody."""

from __future__ import annotations

import json
from pathlib import Path

from optathlon.slurm.cluster import Job, Resources
from optathlon.slurm.unasked import DEFAULTS, UnaskedCluster
from tests.suite.sweeps import SWEEP, optathlon, write

ON_SLURM = ("launch", "sweep.toml", "--on", "slurm", "--dry-run")


def without_slurm(tmp_path):
    """The environment of a machine whose PATH has no command at all."""
    (tmp_path / "empty").mkdir()
    return {"PATH": str(tmp_path / "empty")}


def test_the_scripts_have_what_was_asked_for(tmp_path):
    write(tmp_path)
    asked = ("--cluster", "partition=gpu", "--cluster", "gpus=1")
    done = optathlon(tmp_path, *ON_SLURM, *asked, **without_slurm(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "#SBATCH --partition=gpu" in done.stdout
    assert "#SBATCH --gpus-per-node=1" in done.stdout
    assert "no Slurm answers here (there is no scontrol here" in done.stderr
    assert "nothing was asked" in done.stderr
    assert not (tmp_path / "store").exists()


def test_stages_that_wait_for_others_are_printed_too(tmp_path):
    write(tmp_path, SWEEP.replace("seeds = [0, 1]", "seeds = {tune = [0], report = [1, 2]}").replace("0.1", "0.2"))
    done = optathlon(tmp_path, *ON_SLURM, "--json", **without_slurm(tmp_path))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["arrays"]


def test_it_is_cut_at_slurms_default_and_takes_everything():
    cluster = UnaskedCluster()
    job = Job((), "name", Path("/store/jobs"), copies=2500, resources=Resources())
    scripts = cluster.scripts(job)
    assert len(scripts) == 3
    assert DEFAULTS.max_array_size == 1001
    assert "--array=0-1000" in scripts[0]
    assert (cluster.check(job), cluster.room(), cluster.admitted(job)) == ("", None, 1001)
    assert cluster.alive(["slurm:cluster:me:name"])["slurm:cluster:me:name"].known


def test_a_real_launch_without_slurm_is_refused_and_nothing_is_written(tmp_path):
    write(tmp_path)
    done = optathlon(tmp_path, *ON_SLURM[:-1], **without_slurm(tmp_path))
    assert done.returncode == 4
    assert "there is no " in done.stderr
    assert not list(Path(tmp_path).glob("store/sweeps/*/submission-*"))
