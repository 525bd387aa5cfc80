"""The real Slurm that the tests of this folder share; skipped where Debian's packages are not, but never in CI."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.slurm.real import PACKAGES, PATH, RealSlurm, missing
from tests.suite.sweeps import ROOT

ROOM = 500e6


@pytest.fixture(scope="session")
def started():
    if lacking := missing():
        reason = f"no {', '.join(lacking)} here; on Debian: apt-get install --no-install-recommends {PACKAGES}"
        if os.environ.get("OPTATHLON_CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    memory = Path("/dev/shm")
    fits = memory.is_dir() and os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > ROOM
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir=memory if fits else None))
    cluster = RealSlurm(folder)
    try:
        cluster.up()
        yield cluster
    finally:
        cluster.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def slurm(started, monkeypatch):
    """A cluster of three idle nodes that this process, and what it starts, submits to."""
    for key in [key for key in os.environ if key.startswith(("SLURM_", "SBATCH_", "SUBMITIT_"))]:
        monkeypatch.delenv(key)
    monkeypatch.setenv("SLURM_CONF", str(started.configuration))
    monkeypatch.setenv("PATH", PATH)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    yield started
    started.empty()
