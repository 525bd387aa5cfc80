"""Makes reality match a sweep: writes its plan, and starts workers for what is missing."""

from __future__ import annotations

import getpass
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from optathlon import tasks
from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.results.store.files import make_folder, put_new
from optathlon.slurm.cluster import PYTHON, ClusterError, Job
from optathlon.slurm.slurm import SlurmCluster
from optathlon.slurm.unasked import UnaskedCluster
from optathlon.suite.code import SUBMITTED_TREE, code
from optathlon.suite.console import say
from optathlon.suite.launching.slurm_orders import Order, Shape, Submission, at_work, orders
from optathlon.suite.monitoring import alive_workers, status
from optathlon.suite.monitoring import budget as budgets
from optathlon.suite.monitoring.alive_workers import HANDLE, Workers
from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.planning import cluster_settings
from optathlon.suite.planning.cluster_settings import Settings
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.sweep import Sweep


@dataclass(frozen=True)
class Launched:
    """What a launch found and did: the plan and its number, and how many runs are missing (0: nothing was started) or
    failed for good.

    started, orders: handles of the jobs that were started, and what was ordered of a cluster. alive: names of the
    workers that were there before. log: where a worker on this machine writes. submitting: another launch is at it.
    """

    plan: Plan
    number: int
    missing: int
    failed: int
    total: int
    settings: Settings
    started: list[str] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    alive: list[str] = field(default_factory=list)
    log: Path | None = None
    submitting: bool = False


@dataclass(frozen=True)
class Wishes:
    """How a sweep is to be launched, beyond what its file says; docs/command-line.md. on, slots, given: --on, --slots
    and --cluster. budget: hours of one slot that the whole sweep may take."""

    data: Path
    on: str | None = None
    given: Sequence[str] = ()
    slots: int | None = None
    data_workers: int = 0
    implementation: str = "auto"
    networks: NetworkOptions = AS_TASKS_SAY
    retry: bool = False
    canary: bool = False
    budget: float | None = None


class Launch:
    """A sweep, expanded and compared with the store. Raises SweepError for a sweep that cannot run, UsageError for one
    that passes its budget or asks for a cluster that cannot be, tasks.DataError for data that is not there."""

    def __init__(self, sweep: Sweep, store: Store, wishes: Wishes) -> None:
        self.sweep, self.store, self.wishes = sweep, store, wishes
        self.settings, self.shapes = _shapes(sweep, wishes)
        for entry in sweep.entries:
            entry.spec.check_implementation(wishes.implementation)
        self.unasked = ""
        """Why no Slurm was asked by `scripts`; "" where one was."""
        self.plan = expand(sweep, wishes.data)
        self.seen = status.overview(store, self.plan)
        if (hours := sweep.budget if wishes.budget is None else wishes.budget) is not None:
            budgets.check(hours, self.seen, retry=wishes.retry)
        if self.missing:
            for task in sweep.tasks:
                tasks.require(task, sweep.protocol_of(task), wishes.data)

    @property
    def missing(self) -> int:
        return self.seen.left + (self.seen.counts["failed"] if self.wishes.retry else 0)

    def scripts(self) -> list[tuple[Order, str]]:
        """What would be submitted to a Slurm cluster, each array with its script; nothing is written or submitted.

        Without a cluster here, what would be submitted to one with Slurm's defaults; `unasked` says so then.
        """
        try:
            _ = self._cluster().site
        except ClusterError as error:
            self.unasked = str(error)
        slurm = self._cluster()
        self._check()
        numbers = self.store.plan_numbers(self.plan.head.name)
        same = (n for n in numbers if self._stored(n) == self.plan.head.digest)
        number = next(same, max(numbers, default=0) + 1)
        there = alive_workers.look(self.store, self.plan.head.name)
        found, there, _ = self._ordered(slurm, number, there)
        jobs = self._submission(number).jobs(slurm, found, there)
        return [(order, script) for order, job in jobs for script in slurm.scripts(job)]

    def carry_out(self) -> Launched:
        """Write the plan if it is new and start or submit workers for what is missing, unless enough are at work.

        Raises ClusterError, for allocations that the cluster would refuse before anything is written.
        """
        if self.missing and self.settings.kind == "slurm":
            self._check()
        if self.wishes.retry:
            for run in self.seen.failed:
                self.store.retry(run)
            self.seen = status.overview(self.store, self.plan)
        number = self.store.put_plan(self.plan, self.sweep.toml)
        if self.missing and self.settings.kind == "slurm":
            return self._submit(number)
        there = alive_workers.look(self.store, self.plan.head.name, number)
        if self.missing and not there.names:
            return self._start(number)
        return self._launched(number, alive=there.names)

    def _start(self, number: int) -> Launched:
        """One worker on this machine."""
        name = f"{self.plan.head.name}-{number:04d}"
        folder = self._folder() / f"{name}-{secrets.token_hex(4)}"
        words = self._words(number)
        if self.settings.slots is not None:
            words += ("--slots", str(self.settings.slots))
        job = Job(words, name, folder, {SUBMITTED_TREE: code()["tree"]})
        where = folder.relative_to(self.store.root.resolve()).as_posix()
        intent = {"plan": number, "cluster": "local", "folder": where, "runs": self.missing, "canary": self._canary}
        self.store.put_submission(self.plan.head.name, intent)
        make_folder(self._folder().parent)
        handle = alive_workers.cluster("local").submit(job)
        put_new(folder / HANDLE, handle.encode())
        return self._launched(number, started=[handle], log=folder / "log.txt")

    def _submit(self, number: int) -> Launched:
        """Arrays of workers on the cluster that this machine belongs to."""
        slurm, name = self._cluster(), self.plan.head.name
        # In this order: what another launch submits between them is seen by the third, or makes this one withdraw.
        before = len(self.store.submissions(name))
        submitting = alive_workers.submitting(self.store, name, number)
        there = alive_workers.look(self.store, name)
        if silent := [handle for handle in there.unknown if handle.startswith(slurm.handle(""))]:
            raise ClusterError(
                f"the Slurm controller does not answer: whether {len(silent)} jobs of {name} are at "
                "work is unknown, and nothing was submitted; try again later"
            )
        alive = there.of(number)
        if submitting:
            return self._launched(number, alive=alive.names, submitting=True)
        self._bury(alive, slurm.handle(""))
        if alive.held:
            say(f"{name}: {alive_workers.told_of_held(alive)}")
        found, there, replaced = self._ordered(slurm, number, there)
        if not found:
            return self._launched(number, alive=alive.names)
        started = self._submission(number).submit(slurm, found, there, before, self.missing, replaced)
        if started is None:
            return self._launched(number, alive=alive.names, submitting=True)
        new = [order for order in found if not order.follows]
        return self._launched(number, started=started, orders=new, alive=there.of(number).names)

    def _ordered(self, slurm: SlurmCluster, number: int, there: Workers) -> tuple[list[Order], Workers, list[str]]:
        """What to submit beside the workers `there` (of all plans), those of them that stay, and the copies that are
        replaced: what can never start, and what waits behind jobs, as it shall wait for the new ones too.

        Raises ClusterError if the cluster's limits leave no room and no worker is there."""
        others = sum(len(at_work(alive)) for job, alive in there.alive.items() if job.plan != number)
        found = orders(self.plan, self.seen, self.shapes, there.of(number), None, others)
        if not found:
            return [], there, []
        stay, replaced = there.without_waiting(number, slurm.handle(""))
        room = self._room(slurm, sum(order.copies for order in found), len(replaced))
        if room == 0:
            full = "the cluster's limit on queued jobs (MaxSubmitJobs) is reached: nothing was submitted"
            if not there.of(number).names:
                raise ClusterError(full)
            say(f"{self.plan.head.name}: {full}")
            return [], there, []
        return orders(self.plan, self.seen, self.shapes, stay.of(number), room, others), stay, replaced

    def _bury(self, there: Workers, mine: str) -> None:
        """`workers.bury` this user's runs whose job has left the queue."""
        jobs = {run: owner.job for run in there.lost(self.seen.states) if (owner := self.seen.states[run].owner)}
        own = {run: job for run, job in jobs.items() if job and job.startswith(mine)}
        alive_workers.mark_as_ended(self.store, own, self.seen.states, self._cluster())

    def _check(self) -> None:
        """Ask the cluster whether it would give each shape of allocation, and say what is not to be had for now."""
        where = self.store.root.resolve()
        asked = [Job((), "check", where, resources=settings.resources) for settings, _ in self.shapes]
        for later in dict.fromkeys(filter(None, map(self._cluster().check, asked))):
            say(f"{self.plan.head.name}: {later}; workers wait until they are back")

    def _submission(self, number: int) -> Submission:
        return Submission(self.store, self.plan.head.name, number, self._words(number), self._folder())

    def _words(self, number: int) -> tuple[str, ...]:
        words = [PYTHON, "-P", "-m", "optathlon", "work", self.plan.head.name, str(number)]
        words += ["--store", str(self.store.root.resolve()), "--data", str(Path(self.wishes.data).resolve())]
        words += ["--beside", str(Path(self.sweep.file).resolve().parent)]
        words += ["--data-workers", str(self.wishes.data_workers), "--implementation", self.wishes.implementation]
        words += ["--memory-format", self.wishes.networks.memory_format]
        words += ["--compile"] * self.wishes.networks.compile + ["--canary"] * self._canary
        return tuple(words)

    @property
    def _canary(self) -> bool:
        return self.wishes.canary or self.sweep.canary

    def _folder(self) -> Path:
        return self.store.root.resolve() / "jobs" / _user()

    def _cluster(self) -> SlurmCluster:
        if self.unasked:
            return UnaskedCluster()
        found = alive_workers.cluster("slurm")
        assert isinstance(found, SlurmCluster)
        return found

    def _room(self, slurm: SlurmCluster, copies: int, replaced: int) -> int | None:
        """For how many more of so many copies the cluster's limits leave room once others are replaced; None: no limit
        is known."""
        asked = self.settings.resources
        room = slurm.room(asked.account, asked.qos)
        copies = min(copies, slurm.site.max_array_size)
        admitted = slurm.admitted(Job((), "check", self.store.root.resolve(), copies=copies, resources=asked))
        rooms = [*([] if room is None else [room]), *([admitted] if admitted < copies else [])]
        return min(rooms) + replaced if rooms else None

    def _stored(self, number: int) -> str:
        return self.store.plan(self.plan.head.name, number).head.digest

    def _launched(self, number: int, **found: Any) -> Launched:
        failed = self.seen.counts["failed"]
        return Launched(self.plan, number, self.missing, failed, self.seen.total, self.settings, **found)


def _shapes(sweep: Sweep, wishes: Wishes) -> tuple[Settings, list[Shape]]:
    """The sweep's settings, and those of each group of tasks that have the same."""
    given = cluster_settings.given_table(wishes.given, wishes.on, wishes.slots)
    below = [cluster_settings.user_table(), sweep.cluster]
    shapes: list[Shape] = []
    for task in sweep.tasks:
        own = sweep.override.get(task.name, {}).get("cluster", {})
        found = cluster_settings.settings([*below, own, given], wishes.data_workers)
        at = next((i for i, (settings, _) in enumerate(shapes) if settings == found), len(shapes))
        before = shapes[at][1] if at < len(shapes) else frozenset()
        shapes[at : at + 1] = [(found, before | {task.name})]
    return cluster_settings.settings([*below, given], wishes.data_workers), shapes


def _user() -> str:
    """The caller's name as one folder; its number where it has none (a container's arbitrary user)."""
    try:
        return re.sub(r"[^A-Za-z0-9._-]", "_", getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def describe(launched: Launched) -> dict[str, Any]:
    """For --json."""
    return {
        "sweep": launched.plan.head.name,
        "plan": launched.number,
        "runs": launched.total,
        "missing": launched.missing,
        "failed": launched.failed,
        "cluster": launched.settings.kind,
        "started": launched.started,
        "workers": sum(order.copies for order in launched.orders) or len(launched.started),
        "alive": launched.alive,
    }
