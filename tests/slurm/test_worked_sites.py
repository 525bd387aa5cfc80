"""The three worked sites of docs/clusters.md are settings that a launch takes, and end in the expected scripts."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.suite.sweeps import optathlon, write

PAGE = Path(__file__).resolve().parents[2] / "docs" / "clusters.md"
EXPECTED = {
    "modules": [
        "#SBATCH --account=lab",
        "#SBATCH --gpus-per-node=1",
        "module load python/3.11 cuda",
        "rsync -a /project",
    ],
    "conda": ["#SBATCH --gres=gpu:a100:1", "conda activate optathlon", "#SBATCH --mem=32G"],
    "apptainer": ["apptainer exec --nv --bind /project /project/images/optathlon.sif python", "HF_HUB_OFFLINE=1"],
}


def sites():
    text = PAGE.read_text().partition("## Three sites")[2].partition("\n## ")[0]
    return re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(("number", "name"), list(enumerate(EXPECTED)))
def test_a_worked_site_is_taken(number, name, tmp_path):
    write(tmp_path)
    (tmp_path / "optathlon").mkdir()
    (tmp_path / "optathlon" / "cluster.toml").write_text(sites()[number])
    (tmp_path / "empty").mkdir()
    words = ("launch", "sweep.toml", "--on", "slurm", "--dry-run")
    done = optathlon(tmp_path, *words, XDG_CONFIG_HOME=str(tmp_path), PATH=str(tmp_path / "empty"))
    assert done.returncode == 0, done.stderr
    assert [line for line in EXPECTED[name] if line not in done.stdout] == []
