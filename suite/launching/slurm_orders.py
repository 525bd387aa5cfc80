"""Submits a sweep's workers to a Slurm cluster: an array a stage and shape of allocation, reports behind the tuning."""

from __future__ import annotations

import itertools
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.results.store.files import make_folder, put_new, utc
from optathlon.slurm.cluster import Alive, ClusterError, Job
from optathlon.slurm.slurm import SlurmCluster
from optathlon.suite.code import SUBMITTED_TREE, code
from optathlon.suite.monitoring.alive_workers import HANDLE, WITHDRAWN, Submitted, Workers
from optathlon.suite.monitoring.status import Overview
from optathlon.suite.planning.cluster_settings import Settings
from optathlon.suite.planning.ready_runs import Stage

LEFT = ("waiting", "running", "stopped")
Shape = tuple[Settings, frozenset[str]]


@dataclass(frozen=True)
class Order:
    """So many workers to submit, for one stage of the runs of some tasks, with one shape of allocation. turn: those of
    a later one wait until all of an earlier one are over, as more shapes than workers at once must. follows: they only
    go on with what others leave behind, such as are alive already."""

    stage: Stage
    settings: Settings
    tasks: frozenset[str]
    copies: int
    turn: int = 0
    follows: bool = False


def orders(
    plan: Plan, seen: Overview, shapes: Sequence[Shape], workers: Workers, room: int | None, others: int = 0
) -> list[Order]:
    """What to submit so that for every run that is left there is a worker, up to the cap and `room` for so many copies,
    counting those that are alive. others: workers of other plans of the sweep, which count for the cap."""
    found: list[Order] = []
    followers: list[Order] = []
    cap = shapes[0][0].workers
    for stage, left in _left(plan, seen).items():
        wanted = [-(-sum(left[t] for t in tasks) // settings.at_once) for settings, tasks in shapes]
        lacking: list[tuple[bool, Order]] = []
        for (settings, tasks), copies in zip(shapes, _shares(wanted, cap), strict=True):
            like = [(job, there) for job, there in workers.alive.items() if _alike(job, stage, tasks)]
            alive = sum(_counted(job, there) for job, there in like)
            if copies > alive:
                lacking.append((alive > 0, Order(stage, settings, tasks, copies - alive)))
            elif stage == "all" and settings.chain and (busy := sum(len(at_work(there)) for _, there in like)):
                followers.append(Order(stage, settings, tasks, busy, follows=True))
        # When those that report start, those that tune are over.
        beside = (there for job, there in workers.alive.items() if stage == "tune" or job.stage != "tune")
        found += in_turns(lacking, max(0, cap - others - sum(len(at_work(there)) for there in beside)), cap)
    if found:  # which replaces the follow-ups of those that are alive
        found = followers + found
    return list(_fitted(found, room if room is None else room // (1 + shapes[0][0].chain)))


def _alike(job: Submitted, stage: str, tasks: frozenset[str]) -> bool:
    return job.stage == stage and (not job.tasks or bool(job.tasks & tasks))


def _counted(job: Submitted, there: Alive) -> int:
    """The copies of `job` that will take runs: a follow-up only once what it follows is over."""
    out = there.never | there.behind if job.follows else there.never
    return len(there.running) + len(there.pending) - len(out)


def at_work(there: Alive) -> list[str]:
    """The copies of a job that run or may start at any moment."""
    return [*there.running, *(name for name in there.pending if name not in there.behind | there.never)]


def in_turns(lacking: Sequence[tuple[bool, Order]], free: int, cap: int) -> Iterator[Order]:
    """Orders, each with whether workers like it are alive, as they fit: `free` copies now; after that, `cap` a turn of
    those that nobody is at work on."""
    first = sorted(lacking, key=lambda each: each[0])
    late = [order for alive, order in first[free:] if not alive]
    turns = [[order for _, order in first[:free]], *(late[at : at + cap] for at in range(0, len(late), cap))]
    for turn, group in enumerate(turns):
        for order, copies in zip(group, _shares([each.copies for each in group], cap if turn else free), strict=True):
            yield replace(order, copies=copies, turn=turn)


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
        """Returns the jobs of `found` with their dependencies.

        Report jobs wait for all tuning jobs, new or still alive; a later turn waits for every earlier turn; a follow-up
        waits for the job it continues.
        """
        token, numbers = secrets.token_hex(4), itertools.count()
        made: list[tuple[Order, Job]] = []
        here = {job: there for job, there in workers.alive.items() if there and job.cluster == "slurm"}
        mine = {job: there for job, there in here.items() if job.plan == self.number}
        busy = [job.handle for job, there in here.items() if at_work(there)]
        reported = {order.tasks for order in found if order.stage == "all"}

        def job(order: Order, after: Sequence[str]) -> str:
            name = f"{self.name}-{self.number:04d}-{order.stage}-{token}-{next(numbers)}"
            made.append((order, self._job(name, order, tuple(dict.fromkeys(after)))))
            return cluster.handle(name)

        before = [each.handle for each in mine if each.stage == "tune"]
        for stage in ("tune", "all"):
            for turn, group in itertools.groupby((o for o in found if o.stage == stage), key=lambda o: o.turn):
                after = [*(busy if turn else ()), *(before if turn or stage == "all" else ())]
                for order in group:
                    like = {j.handle: len(at_work(a)) for j, a in mine.items() if _alike(j, stage, order.tasks)}
                    ends = [handle for handle, copies in like.items() if copies]
                    if order.follows:
                        following = order
                    else:
                        ends.insert(0, job(order, after))
                        following = replace(order, stage="all", copies=order.copies + sum(like.values()), follows=True)
                    before += ends
                    if stage == "all" or order.tasks not in reported:
                        for _ in range(order.settings.chain):
                            before += (ends := [job(following, ends)])
        return made

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
        self,
        cluster: SlurmCluster,
        found: Sequence[Order],
        workers: Workers,
        before: int,
        runs: int,
        replaced: Sequence[str] = (),
    ) -> list[str] | None:
        """Write down what is about to be submitted, then submit it in the place of the copies `replaced`; returns the
        handles, or None if another launch has begun since there were `before` submissions. Raises ClusterError with
        what the cluster says."""
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
            cluster.withdraw(replaced)
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
        "follows": order.follows,
        "folder": job.folder.relative_to(store.root.resolve()).as_posix(),
    }
