"""Submits a sweep's workers to a Slurm cluster: an array a stage and shape of allocation, reports behind the tuning."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from results import Store
from results.files import make_folder, put_new, utc
from results.record import Plan
from slurm.cluster import ClusterError, Job
from slurm.slurm import SlurmCluster
from suite.cluster import Settings
from suite.code import SUBMITTED_TREE, code
from suite.status import Overview
from suite.wanted import Stage
from suite.workers import HANDLE, WITHDRAWN, Workers

LEFT = ("waiting", "running", "stopped")
Shape = tuple[Settings, frozenset[str]]


@dataclass(frozen=True)
class Order:
    """So many workers to submit, for one stage of the runs of some tasks, with one shape of allocation."""

    stage: Stage
    settings: Settings
    tasks: frozenset[str]
    copies: int


def orders(plan: Plan, seen: Overview, shapes: Sequence[Shape], workers: Workers, room: int | None) -> list[Order]:
    """What to submit so that for every run that is left there is a worker, up to the cap and `room` for so many copies,
    counting those that are alive."""
    found: list[Order] = []
    for stage, left in _left(plan, seen).items():
        wanted = [-(-sum(left[t] for t in tasks) // settings.at_once) for settings, tasks in shapes]
        cap = shapes[0][0].workers
        for (settings, tasks), copies in zip(shapes, _shares(wanted, cap), strict=True):
            alive = sum(
                len(there.running) + len(there.pending)
                for job, there in workers.alive.items()
                if job.stage == stage and (not job.tasks or job.tasks & tasks)
            )
            if copies > alive:
                found.append(Order(stage, settings, tasks, copies - alive))
    return list(_fitted(found, room if room is None else room // (1 + shapes[0][0].chain)))


def _left(plan: Plan, seen: Overview) -> dict[Stage, Counter[str]]:
    """Runs that are left, by stage and task. Workers of the last stage take what an earlier one left behind."""
    tune = Counter(r.column for r in plan.runs if r.role == "tune" and seen.states[r.id].kind in LEFT)
    both: Counter[str] = Counter()
    for (_, column), counts in seen.cells.items():
        both[column] += sum(counts[kind] for kind in LEFT)
    return {"tune": tune, "all": both - tune} if tune else {"all": both}


def _shares(wanted: Sequence[int], cap: int) -> list[int]:
    """`wanted` scaled down to `cap` in all, but to no less than one of each that wants any."""
    shares, total = list(wanted), sum(wanted)
    if total > cap:
        shares = [min(want, max(1, want * cap // total)) for want in wanted]
    while sum(shares) > cap and max(shares) > 1:
        shares[shares.index(max(shares))] -= 1
    return shares


def _fitted(found: Sequence[Order], room: int | None) -> Iterator[Order]:
    for number, order in enumerate(found):
        copies = order.copies if room is None else min(order.copies, room // (len(found) - number))
        if copies:
            room = None if room is None else room - copies
            yield replace(order, copies=copies)


@dataclass(frozen=True)
class Submission:
    """Hands workers of plan `number` of the sweep `name` to a cluster. words: their command line but for what an order
    says. folder: where each job has its own."""

    store: Store
    name: str
    number: int
    words: tuple[str, ...]
    folder: Path

    def jobs(self, cluster: SlurmCluster, found: Sequence[Order], workers: Workers) -> list[tuple[Order, Job]]:
        """The jobs of `found`: those of the last stage wait for the tuning's, also for what of it is alive already, and
        follow-ups for what they follow."""
        token, numbers = secrets.token_hex(4), itertools.count()
        by_stage: dict[str, list[tuple[Order, Job]]] = {"tune": [], "all": []}
        tuning = [job.handle for job, alive in workers.alive.items() if job.stage == "tune" and alive]

        def job(order: Order, after: Sequence[str]) -> tuple[Order, Job]:
            name = f"{self.name}-{self.number:04d}-{order.stage}-{token}-{next(numbers)}"
            return order, self._job(name, order, tuple(after))

        for order in found:
            before = by_stage[order.stage]
            after = [] if order.stage == "tune" else tuning + [cluster.handle(j.name) for _, j in by_stage["tune"]]
            if (turn := len(before) - order.settings.workers) >= 0:  # more shapes than workers at once take turns
                after.append(cluster.handle(before[turn][1].name))
            before.append(job(order, after))
        jobs = by_stage["tune"] + by_stage["all"]
        reported = {order.tasks for order, _ in by_stage["all"]}
        last = by_stage["all"] + [each for each in by_stage["tune"] if each[0].tasks not in reported]
        for _ in range(found[0].settings.chain if found else 0):
            last = [job(replace(order, stage="all"), [cluster.handle(each.name)]) for order, each in last]
            jobs += last
        return jobs

    def _job(self, name: str, order: Order, after: tuple[str, ...]) -> Job:
        words = [*self.words, "--stage", order.stage, "--slots", str(order.settings.at_once), "--leave"]
        words += [word for handle in after for word in ("--after", handle)]
        words += [word for task in sorted(order.tasks) for word in ("--task", task)]
        return Job(
            argv=tuple(words),
            name=name,
            folder=self.folder / name,
            environment={SUBMITTED_TREE: code()["tree"]},
            copies=order.copies,
            resources=order.settings.resources,
            after=after,
        )

    def submit(
        self, cluster: SlurmCluster, found: Sequence[Order], workers: Workers, before: int, runs: int
    ) -> list[str] | None:
        """Write down what is about to be submitted, then submit it; returns the handles, or None if another launch has
        begun since there were `before` submissions. Raises ClusterError with what the cluster says."""
        ordered = self.jobs(cluster, found, workers)
        jobs = [job for _, job in ordered]
        intent = {
            "plan": self.number,
            "cluster": "slurm",
            "created": utc(),
            "tree": code()["tree"],
            "runs": runs,
            "canary": "--canary" in self.words,
            "jobs": [_told(self.store, cluster, order, job) for order, job in ordered],
        }
        self.store.put_submission(self.name, intent)
        handles: list[str] = []
        make_folder(self.folder.parent)  # jobs/ is the group's, as the store is; each user's below it is not
        try:
            # Of launches at the same time the one with the lowest number goes on.
            if intent["jobs"] not in [s.get("jobs") for s in self.store.submissions(self.name)[: before + 1]]:
                return None
            for job in jobs:
                handles.append(cluster.submit(job))
                put_new(job.folder / HANDLE, handles[-1].encode())
        except ClusterError as error:
            raise ClusterError(f"{error} ({len(handles)} of {len(jobs)} jobs were submitted)") from None
        finally:
            for job in jobs[len(handles) :]:
                put_new(job.folder / WITHDRAWN, b"")
        return handles


def _told(store: Store, cluster: SlurmCluster, order: Order, job: Job) -> Mapping[str, Any]:
    return {
        "handle": cluster.handle(job.name),
        "stage": order.stage,
        "tasks": sorted(order.tasks),
        "copies": order.copies,
        "folder": job.folder.relative_to(store.root.resolve()).as_posix(),
    }
