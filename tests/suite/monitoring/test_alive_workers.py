"""The workers of a sweep are those of its store."""

from __future__ import annotations

import shutil

from optathlon.results import Store
from optathlon.results.store.files import put_new
from optathlon.slurm.cluster import Job
from optathlon.slurm.local import LocalCluster
from optathlon.suite.monitoring import alive_workers
from optathlon.suite.monitoring.alive_workers import HANDLE


def test_a_copied_store_neither_sees_nor_stops_the_originals_worker(tmp_path):
    store, folder = Store(tmp_path / "store"), "jobs/me/worker"
    store.put_submission("sweep", {"plan": 1, "cluster": "local", "folder": folder})
    handle = LocalCluster().submit(Job(("sleep", "600"), "worker", store.root / folder))
    put_new(store.root / folder / HANDLE, handle.encode())
    shutil.copytree(store.root, tmp_path / "copy")
    copied = Store(tmp_path / "copy")
    try:
        assert alive_workers.look(copied, "sweep").names == []
        assert alive_workers.cancel(copied, "sweep") == []
        assert alive_workers.look(store, "sweep").names == [handle]
    finally:
        assert alive_workers.cancel(store, "sweep") == [handle]
