"""A store: all that is known of sweeps and runs, in files below one root that many machines may share."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from optathlon.results.errors import StoreError
from optathlon.results.store.claims import LEASE, Claims
from optathlon.results.store.files import TEMPORARY, exists, make_folder, names, put_new, utc
from optathlon.results.store.layout import checked_id
from optathlon.results.store.liveness import Liveness
from optathlon.results.store.plan_files import Plans
from optathlon.results.store.reference_files import ReferenceFiles
from optathlon.results.store.run_state import State
from optathlon.results.store.source_files import SourceFiles

__all__ = ["LEASE", "State", "Store", "put_new", "utc"]

_DISPOSABLE = ("checkpoint-", "best-", "log-")


class Store(ReferenceFiles, SourceFiles, Claims, Plans):
    """The store at `root`, which need not exist: reading finds nothing then, and the first write creates it.

    lease: seconds without a heartbeat after which an attempt counts as lost. StoreError if `root` is no folder.
    """

    def __init__(self, root: Path | str, lease: float = LEASE) -> None:
        super().__init__(root)
        if os.path.lexists(self.root) and not self.root.is_dir():
            what = "a link to nothing" if self.root.is_symlink() else "a file"
            raise StoreError(f"{self.root}: is {what}; a store is a folder, made where there is none")
        self.liveness = Liveness(self.root, lease)

    def states(self, ids: Iterable[str]) -> dict[str, State]:
        """The state of each run of `ids`, from files only, asking no scheduler, writing nothing that stays."""
        ids = list(dict.fromkeys(map(checked_id, ids)))
        if not ids:
            return {}
        outcomes, unusable = self._listed_records(ids, brief=True)
        started = {i for shard in names(self.root / "work") for i in names(self.root / "work" / shard)}
        states = {}
        for run_id in ids:
            if run_id in outcomes:
                status, diverged_at, attempt = outcomes.outcome(run_id)
                where = f"at update {diverged_at}" if status == "diverged" else ""
                states[run_id] = State(kind=status, reason=where, attempt=attempt)
            elif run_id in unusable:
                states[run_id] = State(kind="failed", reason=f"its record cannot be read: {self._record(run_id)}")
            else:
                states[run_id] = self._state(run_id) if run_id in started else State(kind="waiting")
        return states

    def is_full(self) -> bool:
        """Whether its file system has no room left for this user, or for no more files, as far as that tells."""
        if not exists(self.root):
            return False
        free = os.statvfs(self.root)
        return free.f_bavail == 0 or 0 == free.f_favail < free.f_files  # where files are not counted, both are 0

    def forget(self, run_id: str) -> Path:
        """Move a run's record and work to trash/, so that it waits again; returns the new folder.

        StoreError if there is nothing of it, or it is running.
        """
        record, work = self._record(run_id), self.work(run_id)
        if not exists(record) and not exists(work):
            raise StoreError(f"run {run_id}: there is nothing of it in {self.root}")
        if not exists(record) and self._state(run_id).kind == "running":
            raise StoreError(f"run {run_id}: is running; cancel it first")
        number = 1
        while exists(folder := self._trash / f"{run_id}-{number:04d}"):
            number += 1
        make_folder(folder)
        # The record last: until it is gone the run is finished, whatever happens here.
        for path in (work, record):
            if exists(path):
                os.rename(path, folder / ("work" if path == work else path.name))
        return folder

    def clean(self) -> int:
        """Delete checkpoints and logs of runs that have a readable record, and the temporary files of writers that were
        killed; returns how many bytes that freed."""
        freed = self._remove_abandoned()
        for run_id in self.records_by_id(brief=True):
            folder = self.work(run_id)
            for path in folder.iterdir() if exists(folder) else ():
                # Hidden ones are of attempts that were killed while they wrote.
                if path.name.lstrip(".").startswith(_DISPOSABLE):
                    freed += path.stat().st_size
                    path.unlink(missing_ok=True)
        return freed

    def _remove_abandoned(self) -> int:
        """Delete temporary files that nobody has written to for as long as a lost owner is waited for."""
        freed = 0
        for path in self.root.rglob(".*"):
            if TEMPORARY.fullmatch(path.name) and path.is_file():
                silence = self.liveness.silence(path)
                if silence is not None and silence > self.liveness.lease:
                    freed += path.stat().st_size
                    path.unlink(missing_ok=True)
        return freed
