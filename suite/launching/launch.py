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
from optathlon.suite.launching.shapes import ClusterLayers
from optathlon.suite.launching.slurm_orders import Order, Submission, at_work, orders
from optathlon.suite.monitoring import alive_workers, status
from optathlon.suite.monitoring import budget as budgets
from optathlon.suite.monitoring.alive_workers import HANDLE, Workers
from optathlon.suite.network_options import AS_TASKS_SAY, NetworkOptions
from optathlon.suite.planning import cluster_settings
from optathlon.suite.planning.cluster_settings import Settings
from optathlon.suite.planning.plan import expand
from optathlon.suite.planning.sweep import Sweep
from optathlon.tasks.data.dataset import manifest


@dataclass(frozen=True)
class Launched:
    """What a launch found in the store and started."""

    plan: Plan
    number: int
    """The plan's number in the store."""
    missing: int
    """Runs that are still to be carried out; where it is 0, nothing was started."""
    failed: int
    """Runs that failed for good."""
    total: int
    """All runs of the plan."""
    settings: Settings
    started: list[str] = field(default_factory=list)
    """Handles of the jobs that were started."""
    orders: list[Order] = field(default_factory=list)
    """The workers that were submitted to a cluster, by stage and shape of allocation."""
    alive: list[str] = field(default_factory=list)
    """Names of the workers that were alive before."""
    log: Path | None = None
    """Where the worker on this machine writes."""
    submitting: bool = False
    """Whether another launch of the sweep is submitting at this moment, so that this one left it to that."""


@dataclass(frozen=True)
class Wishes:
    """How a sweep is to be launched, beyond what its file says: the options of `optathlon launch`."""

    data: Path
    on: str | None = None
    """--on: "local" or "slurm"."""
    cluster: Sequence[str] = ()
    """--cluster: words KEY=VALUE."""
    slots: int | None = None
    data_workers: int = 0
    implementation: str = "auto"
    networks: NetworkOptions = AS_TASKS_SAY
    retry: bool = False
    """Whether runs that failed for good are tried again."""
    canary: bool = False
    budget: float | None = None
    """Hours of one slot that the whole sweep may take, instead of the sweep file's own."""


class Launch:
    """A sweep, expanded and compared with the store. Raises SweepError for a sweep that cannot run, UsageError for one
    that passes its budget or asks for a cluster that cannot be, tasks.DataError for data that is not there."""

    def __init__(self, sweep: Sweep, store: Store, wishes: Wishes, plan: Plan | None = None) -> None:
        """plan: what is to be run instead of the sweep's expansion, where it was made of an earlier plan of it."""
        self.sweep, self.store, self.wishes = sweep, store, wishes
        command_line = cluster_settings.given_table(wishes.cluster, wishes.on, wishes.slots)
        layers = ClusterLayers(sweep, command_line, wishes.data_workers)
        self.settings = layers.settings()
        for entry in sweep.entries:
            entry.spec.check_implementation(wishes.implementation)
        self.unasked = ""
        """Why no Slurm was asked by `scripts`; "" where one was."""
        self.plan = plan or expand(sweep, wishes.data)
        self.shapes = layers.shapes(self.plan)
        self.overview = status.overview(store, self.plan)
        if (hours := sweep.budget if wishes.budget is None else wishes.budget) is not None:
            budgets.check(hours, self.overview, retry=wishes.retry)
        if self.missing:
            _require_prepared(sweep, wishes.data)
            for task in sweep.tasks:
                tasks.require(task, sweep.protocol_of(task), wishes.data)

    @property
    def missing(self) -> int:
        return self.overview.left + (self.overview.counts["failed"] if self.wishes.retry else 0)

    def scripts(self) -> list[tuple[Order, str]]:
        """Returns what would be submitted to Slurm, each array with its script; nothing is written or submitted.

        On a machine without Slurm this is for a cluster with Slurm's defaults, and `unasked` says why.
        """
        try:
            _ = self._cluster().site
        except ClusterError as error:
            self.unasked = str(error)
        slurm = self._cluster()
        self._check()
        numbers = self.store.plan_numbers(self.plan.head.name)
        number = self.store.plan_digests(self.plan.head.name).get(self.plan.head.digest, max(numbers, default=0) + 1)
        workers = alive_workers.look(self.store, self.plan.head.name)
        ordered, workers, _ = self._ordered(slurm, number, workers)
        jobs = self._submission(number).jobs(slurm, ordered, workers)
        return [(order, script) for order, job in jobs for script in slurm.scripts(job)]

    def carry_out(self) -> Launched:
        """Writes the plan if it is new, and starts or submits workers for what is missing unless enough are at work.

        Raises ClusterError; if the cluster would refuse an allocation, before anything is written.
        """
        if self.missing and self.settings.kind == "slurm":
            self._check()
        if self.wishes.retry:
            for run in self.overview.failed:
                self.store.retry(run)
            self.overview = status.overview(self.store, self.plan)
        known_problems = len(self.store.problems)
        number = self.store.put_plan(self.plan, self.sweep.toml)
        for problem in self.store.problems[known_problems:]:
            say(f"left out: {problem}")
        if self.missing and self.settings.kind == "slurm":
            return self._submit(number)
        workers = alive_workers.look(self.store, self.plan.head.name, number)
        if self.missing and not workers.names:
            return self._start(number)
        return self._launched(number, alive=workers.names)

    def _start(self, number: int) -> Launched:
        """Starts one worker on this machine; it fills all slots."""
        name = f"{self.plan.head.name}-{number:04d}"
        folder = self._folder() / f"{name}-{secrets.token_hex(4)}"
        words = self._words(number)
        if self.settings.slots is not None:
            words += ("--slots", str(self.settings.slots))
        job = Job(words, name, folder, {SUBMITTED_TREE: code()["tree"]})
        where = folder.relative_to(self.store.root.resolve()).as_posix()
        intent = {"plan": number, "digest": self.plan.head.digest, "cluster": "local", "folder": where}
        intent |= {"runs": self.missing, "canary": self._canary}
        self.store.put_submission(self.plan.head.name, intent)
        make_folder(self._folder().parent)
        handle = alive_workers.cluster("local").submit(job)
        put_new(folder / HANDLE, handle.encode())
        return self._launched(number, started=[handle], log=folder / "log.txt")

    def _submit(self, number: int) -> Launched:
        """Submits arrays of workers to the cluster that this machine belongs to."""
        slurm, name = self._cluster(), self.plan.head.name
        # The order of the next three lines keeps two launches from submitting the same: what another one submits
        # between them is seen by the third line, or makes this one withdraw.
        before = len(self.store.submissions(name))
        submitting = alive_workers.submitting(self.store, name, number)
        workers = alive_workers.look(self.store, name)
        if silent := [handle for handle in workers.unknown if handle.startswith(slurm.handle(""))]:
            raise ClusterError(
                f"the Slurm controller does not answer: whether {len(silent)} jobs of {name} are at "
                "work is unknown, and nothing was submitted; try again later"
            )
        of_plan = workers.of_plan(number)
        if submitting:
            return self._launched(number, alive=of_plan.names, submitting=True)
        self._mark_lost_as_ended(of_plan, slurm.handle(""))
        if of_plan.held:
            say(f"{name}: {alive_workers.held_message(of_plan)}")
        ordered, staying, replaced = self._ordered(slurm, number, workers)
        if not ordered:
            return self._launched(number, alive=of_plan.names)
        started = self._submission(number).submit(slurm, ordered, staying, before, self.missing, replaced)
        if started is None:
            return self._launched(number, alive=of_plan.names, submitting=True)
        new = [order for order in ordered if not order.follows]
        return self._launched(number, started=started, orders=new, alive=staying.of_plan(number).names)

    def _ordered(self, slurm: SlurmCluster, number: int, workers: Workers) -> tuple[list[Order], Workers, list[str]]:
        """Returns what to submit, which of `workers` (of all plans of the sweep) stay, and which copies are replaced.

        Replaced are copies that can never start, and copies that wait behind other jobs: their successors wait for the
        new jobs too. Raises ClusterError if the cluster's limits leave no room and no worker is alive.
        """
        others = sum(len(at_work(alive)) for job, alive in workers.alive.items() if job.plan != number)
        lacking = orders(self.plan, self.overview, self.shapes, workers.of_plan(number), None, others)
        if not lacking:
            return [], workers, []
        staying, replaced = workers.without_waiting(number, slurm.handle(""))
        room = self._room(slurm, sum(order.copies for order in lacking), len(replaced))
        if room == 0:
            full = "the cluster's limit on queued jobs (MaxSubmitJobs) is reached: nothing was submitted"
            if not workers.of_plan(number).names:
                raise ClusterError(full)
            say(f"{self.plan.head.name}: {full}")
            return [], workers, []
        return orders(self.plan, self.overview, self.shapes, staying.of_plan(number), room, others), staying, replaced

    def _mark_lost_as_ended(self, workers: Workers, mine: str) -> None:
        """Marks as ended this user's runs that are recorded as running in a job that has left the queue."""
        states = self.overview.states
        jobs = {run: owner.job for run in workers.lost(states) if (owner := states[run].owner)}
        own = {run: job for run, job in jobs.items() if job and job.startswith(mine)}
        alive_workers.mark_as_ended(self.store, own, states, self._cluster())

    def _check(self) -> None:
        """Asks the cluster whether it would give each shape of allocation; says which nodes are out of service."""
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
        slurm = alive_workers.cluster("slurm")
        assert isinstance(slurm, SlurmCluster)
        return slurm

    def _room(self, slurm: SlurmCluster, copies: int, replaced: int) -> int | None:
        """Returns how many of so many copies the cluster's limits allow once `replaced` are gone; None for no limit."""
        asked = self.settings.resources
        room = slurm.room(asked.account, asked.qos)
        copies = min(copies, slurm.site.max_array_size)
        admitted = slurm.admitted(Job((), "check", self.store.root.resolve(), copies=copies, resources=asked))
        rooms = [*([] if room is None else [room]), *([admitted] if admitted < copies else [])]
        return min(rooms) + replaced if rooms else None

    def _launched(self, number: int, **outcome: Any) -> Launched:
        failed = self.overview.counts["failed"]
        return Launched(self.plan, number, self.missing, failed, self.overview.total, self.settings, **outcome)


def _require_prepared(sweep: Sweep, data: Path) -> None:
    """Raises one DataError for all data sets that are not prepared, if there are several; `tasks.require` names one."""
    needed = dict.fromkeys(name for task in sweep.tasks for name in task.datasets)
    missing = [name for name in needed if manifest(data, name) is None]
    if len(missing) > 1:
        names = " ".join(missing)
        raise tasks.DataError(
            f"{sweep.name}: no prepared data in {data} (--data or $OPTATHLON_DATA says where data is) of"
            f" {len(missing)} data sets; `optathlon data miniature {names}` generates tiny ones without a network,"
            f" `optathlon data standin {names}` converts real ones from packages, `optathlon show NAME` says where the"
            " official one is from"
        )


def _user() -> str:
    """Returns the caller's name, fit for a folder; the user id where it has none, as in a container."""
    try:
        return re.sub(r"[^A-Za-z0-9._-]", "_", getpass.getuser())
    except (KeyError, OSError):
        return str(os.getuid())


def describe(launched: Launched) -> dict[str, Any]:
    """Returns what `launch --json` prints."""
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
