"""Submits a sweep's workers to a Slurm cluster: one array per stage and shape of allocation; report jobs depend on
tuning jobs."""

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
from optathlon.results.store.files import make_folder, put_new
from optathlon.slurm.cluster import Alive, ClusterError, Job
from optathlon.slurm.slurm import SlurmCluster
from optathlon.suite.code import SUBMITTED_TREE, code
from optathlon.suite.monitoring.alive_workers import HANDLE, WITHDRAWN, Submitted, Workers
from optathlon.suite.monitoring.status import LEFT, Cell, Overview
from optathlon.suite.planning.cluster_settings import Settings
from optathlon.suite.planning.ready_runs import Stage
from optathlon.suite.planning.scope import Scope

Shape = tuple[Settings, Scope]
"""What each worker is given, and the runs that need it."""


@dataclass(frozen=True)
class Order:
    """Workers to submit as one array."""

    stage: Stage
    settings: Settings
    """The shape of allocation of each worker."""
    scope: Scope
    """The runs that the workers take."""
    copies: int
    """How many workers."""
    turn: int = 0
    """Workers of a later turn wait until all of the earlier are over. Needed where there are more shapes than workers
    that may be at work at once."""
    follows: bool = False
    """Whether they follow up workers that are alive already: they go on with what those leave behind."""


def orders(
    plan: Plan, overview: Overview, shapes: Sequence[Shape], workers: Workers, room: int | None, others: int = 0
) -> list[Order]:
    """Returns what to submit so that every run that is left has a worker, counting the workers that are alive.

    The cap on workers at work and `room`, how many more copies may be queued, may leave fewer. others: workers of other
    plans of the sweep, which count for the cap.
    """
    new: list[Order] = []
    follow_ups: list[Order] = []
    cap = shapes[0][0].workers
    for stage, left in _left(plan, overview).items():
        demand = [-(-_count(left, scope) // settings.at_once) for settings, scope in shapes]
        lacking: list[tuple[bool, Order]] = []
        for (settings, scope), copies in zip(shapes, _shares(demand, cap), strict=True):
            like = [(job, alive) for job, alive in workers.alive.items() if _alike(job, stage, scope)]
            counted = sum(_counted(job, alive) for job, alive in like)
            if copies > counted:
                lacking.append((counted > 0, Order(stage, settings, scope, copies - counted)))
            elif stage == "all" and settings.chain and (busy := sum(len(at_work(alive)) for _, alive in like)):
                follow_ups.append(Order(stage, settings, scope, busy, follows=True))
        # When the workers that report start, those that tune are over, so these take no place of theirs.
        beside = (alive for job, alive in workers.alive.items() if stage == "tune" or job.stage != "tune")
        new += in_turns(lacking, max(0, cap - others - sum(len(at_work(alive)) for alive in beside)), cap)
    # Submitting anything replaces the follow-ups that wait, so those of workers that are alive are ordered again.
    submitted = follow_ups + new if new else []
    return list(_fitted(submitted, room if room is None else room // (1 + shapes[0][0].chain)))


def _alike(job: Submitted, stage: str, scope: Scope) -> bool:
    return job.stage == stage and job.scope.meets(scope)


def _counted(job: Submitted, alive: Alive) -> int:
    """Returns how many copies of `job` will take runs; of a follow-up only those whose turn has come."""
    out = alive.never | alive.behind if job.follows else alive.never
    return len(alive.running) + len(alive.pending) - len(out)


def at_work(alive: Alive) -> list[str]:
    """Returns the names of the copies that run or may start at any moment."""
    return [*alive.running, *(name for name in alive.pending if name not in alive.behind | alive.never)]


def in_turns(lacking: Sequence[tuple[bool, Order]], free: int, cap: int) -> Iterator[Order]:
    """Yields the orders that fit, each with its turn: `free` copies in the first, `cap` in each later one.

    lacking: orders, each with whether workers like it are alive. Those come last in the first turn, and have no later
    one: their workers go on with what is left.
    """
    by_need = sorted(lacking, key=lambda pair: pair[0])
    late = [order for alive, order in by_need[free:] if not alive]
    turns = [[order for _, order in by_need[:free]], *(late[i : i + cap] for i in range(0, len(late), cap))]
    for turn, group in enumerate(turns):
        for order, copies in zip(group, _shares([o.copies for o in group], cap if turn else free), strict=True):
            yield replace(order, copies=copies, turn=turn)


def _left(plan: Plan, overview: Overview) -> dict[Stage, Counter[Cell]]:
    """Counts the runs that are left per stage and cell. Workers of the last stage take what an earlier one leaves."""
    tune = Counter((r.row, r.column) for r in plan.runs if r.role == "tune" and overview.states[r.id].kind in LEFT)
    both = Counter({cell: sum(counts[kind] for kind in LEFT) for cell, counts in overview.cells.items()})
    return {"tune": tune, "all": both - tune} if tune else {"all": both}


def _count(left: Mapping[Cell, int], scope: Scope) -> int:
    return sum(runs for (row, task), runs in left.items() if scope.has_cell(row, task))


def _shares(demand: Sequence[int], cap: int) -> list[int]:
    """Scales `demand` down to `cap` in all, but no entry above 0 to less than 1."""
    shares, total = list(demand), sum(demand)
    if total > cap:
        shares = [min(copies, max(1, copies * cap // total)) for copies in demand]
    while sum(shares) > cap and max(shares) > 1:
        shares[shares.index(max(shares))] -= 1
    return shares


def _fitted(orders: Sequence[Order], room: int | None) -> Iterator[Order]:
    """Yields the orders with as many copies as `room` leaves, shared evenly."""
    for number, order in enumerate(orders):
        copies = order.copies if room is None else min(order.copies, room // (len(orders) - number))
        if copies:
            room = None if room is None else room - copies
            yield replace(order, copies=copies)


@dataclass(frozen=True)
class Submission:
    """Hands workers of one plan of a sweep to a cluster."""

    store: Store
    name: str
    """The sweep's."""
    number: int
    """The plan's."""
    words: tuple[str, ...]
    """The workers' command line, without what an order adds to it."""
    folder: Path
    """Where each job gets a folder of its own."""

    def jobs(self, cluster: SlurmCluster, ordered: Sequence[Order], workers: Workers) -> list[tuple[Order, Job]]:
        """Returns the jobs of `ordered` with their dependencies.

        Report jobs wait for all tuning jobs, new or still alive; a later turn waits for every earlier turn; a follow-up
        waits for the job it continues.
        """
        token, numbers = secrets.token_hex(4), itertools.count()
        made: list[tuple[Order, Job]] = []
        of_sweep = {job: alive for job, alive in workers.alive.items() if alive and job.cluster == "slurm"}
        of_plan = {job: alive for job, alive in of_sweep.items() if job.plan == self.number}
        busy = [job.handle for job, alive in of_sweep.items() if at_work(alive)]
        reported = {order.scope for order in ordered if order.stage == "all"}

        def job(order: Order, after: Sequence[str]) -> str:
            name = f"{self.name}-{self.number:04d}-{order.stage}-{token}-{next(numbers)}"
            made.append((order, self._job(name, order, tuple(dict.fromkeys(after)))))
            return cluster.handle(name)

        before = [tuning.handle for tuning in of_plan if tuning.stage == "tune"]
        for stage in ("tune", "all"):
            for turn, group in itertools.groupby((o for o in ordered if o.stage == stage), key=lambda o: o.turn):
                after = [*(busy if turn else ()), *(before if turn or stage == "all" else ())]
                for order in group:
                    like = {j.handle: len(at_work(a)) for j, a in of_plan.items() if _alike(j, stage, order.scope)}
                    ends = [handle for handle, copies in like.items() if copies]
                    if order.follows:
                        following = order
                    else:
                        ends.insert(0, job(order, after))
                        following = replace(order, stage="all", copies=order.copies + sum(like.values()), follows=True)
                    before += ends
                    # Follow-ups are chained to the last stage: to tuning jobs only where no report job comes.
                    if stage == "all" or order.scope not in reported:
                        for _ in range(order.settings.chain):
                            before += (ends := [job(following, ends)])
        return made

    def _job(self, name: str, order: Order, after: tuple[str, ...]) -> Job:
        words = [*self.words, "--stage", order.stage, "--slots", str(order.settings.at_once), "--leave"]
        words += [word for handle in after for word in ("--after", handle)]
        words += [word for task in sorted(order.scope.tasks) for word in ("--task", task)]
        words += [f"--row={row}" for row in sorted(order.scope.rows)]  # one word, as a label may begin with a minus
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
        ordered: Sequence[Order],
        workers: Workers,
        before: int,
        runs: int,
        replaced: Sequence[str] = (),
    ) -> list[str] | None:
        """Writes down what is about to be submitted, then submits it and withdraws the copies `replaced`.

        Returns the handles, or None if another launch has begun since there were `before` submissions. Raises
        ClusterError with the cluster's words.
        """
        pairs = self.jobs(cluster, ordered, workers)
        jobs = [job for _, job in pairs]
        digests = {number: digest for digest, number in self.store.plan_digests(self.name).items()}
        intent = {
            "plan": self.number,
            "digest": digests.get(self.number, ""),
            "cluster": "slurm",
            "tree": code()["tree"],
            "runs": runs,
            "canary": "--canary" in self.words,
            "jobs": [_written(self.store, cluster, order, job) for order, job in pairs],
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


def _written(store: Store, cluster: SlurmCluster, order: Order, job: Job) -> Mapping[str, Any]:
    """Returns a job as a submission holds it; alive_workers.Submitted reads it."""
    return {
        "handle": cluster.handle(job.name),
        "stage": order.stage,
        "tasks": sorted(order.scope.tasks),
        "rows": sorted(order.scope.rows),
        "copies": order.copies,
        "follows": order.follows,
        "folder": job.folder.relative_to(store.root.resolve()).as_posix(),
    }
