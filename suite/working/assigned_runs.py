"""The runs of an assignment as a worker sees them, one process or a team: which are free, refused, and how they end."""

from __future__ import annotations

import contextlib
import platform
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from optathlon.results import this_process
from optathlon.results.errors import StoreError
from optathlon.results.plan import PlannedRun
from optathlon.results.store.files import utc
from optathlon.results.store.refusals import Refusal, RefusalLog
from optathlon.slurm.cluster import this_job
from optathlon.slurm.signals import IN_VAIN, PREEMPTED
from optathlon.suite.errors import OK
from optathlon.suite.failures import Fault
from optathlon.suite.identity import Run
from optathlon.suite.planning.plan import run_of
from optathlon.suite.working.assignment import Assignment
from optathlon.suite.working.claimable import free_runs
from optathlon.suite.working.endings import write_down
from optathlon.suite.working.exit_codes import IN_ORDER, REFUSED, describe
from optathlon.suite.working.log import redirect_output, say
from optathlon.suite.working.preloading import preload
from optathlon.suite.working.refusal import refusal_or_error

if TYPE_CHECKING:
    from optathlon.suite.working.job import Job

REFRESH_SECONDS = 2.0
"""How long a worker with nothing to do waits before it looks into the store again."""


class AssignedRuns:
    """What every worker does with the runs of its assignment, however many processes it has."""

    def __init__(self, assignment: Assignment) -> None:
        self.assignment, self.store, self.plan = assignment, assignment.store, assignment.plan
        self.owner = this_process(*this_job())
        self.refused: set[str] = set()
        self.refusals = RefusalLog(self.store, self.plan.head.name)
        self.got_on = False

    def preload(self) -> None:
        """Imports what the runs need, before any process is forked for one."""
        head = self.plan.head
        tasks = self.assignment.scope.tasks or {problem["task"] for problem in head.problems.values()}
        optimizers = sorted({setting["optimizer"] for setting in head.settings.values()})
        preload(sorted(tasks), optimizers, say, self.assignment.implementation)

    def free(self, busy: Collection[str] = ()) -> tuple[list[PlannedRun], bool]:
        """Returns the runs that can be taken now, in the plan's order, none of `busy`; and whether the end of a run
        under way elsewhere may free more."""
        return free_runs(self.assignment, self.owner, self.refused.union(busy))

    def refuses(self, planned: PlannedRun, processes: int = 1) -> bool:
        """Whether this worker must leave a run alone; if so, that is written down."""
        why = refusal_or_error(run_of(self.plan, planned), self.assignment.data, processes)
        if why:
            self.refuse(planned, why)
        return why is not None

    def refuse(self, planned: PlannedRun, why: str) -> None:
        """Leaves a run alone from now on, and says why where `optathlon status` finds it."""
        self.refused.add(planned.id)
        say(f"{label(planned)} refused: {why}")
        with contextlib.suppress(OSError):
            self.refusals.append(Refusal(run=planned.id, why=why, host=platform.node(), time=utc()))

    def job(self, run: Run, device: str = "auto", *, watched: bool = False) -> Job:
        """Returns the job of a run, for a child; what it prints goes to the log of its attempt."""
        from optathlon.suite.working.job import Job  # with torch, which the worker imports after it hears signals

        return Job(
            run=run,
            store=self.store,
            data=self.assignment.data,
            data_workers=self.assignment.data_workers,
            implementation=self.assignment.implementation,
            networks=self.assignment.networks,
            device=device,
            owner=lambda: this_process(*this_job()),
            say=say,
            claimed=lambda attempt: redirect_output(self.store.log(attempt)),
            watched=watched,
        )

    def settle(
        self,
        planned: PlannedRun,
        pid: int,
        codes: Sequence[int],
        fault: Fault | None = None,
        *,
        asked: bool,
        out_of_memory: bool,
    ) -> None:
        """Takes note of how a run's processes ended, `pid` being the first of them; see `write_down`."""
        processes = f" on {len(codes)} processes" if len(codes) > 1 else ""
        say(f"{label(planned)}{processes}: {'; '.join(dict.fromkeys(map(describe, codes)))}")
        self.got_on = self.got_on or codes[0] == OK or (codes[0] == PREEMPTED and self._moved(planned.id))
        try:
            attempted = write_down(self.store, planned.id, pid, codes, fault, asked=asked, out_of_memory=out_of_memory)
        except (OSError, StoreError) as error:  # the attempt is provably dead without it
            say(f"how run {planned.id} ended could not be written down: {error}")
            return
        # A run whose processes made no attempt would be started again and again.
        if codes[0] == REFUSED:
            self.refuse(planned, "a process refused it or could not claim it; the worker's log says which and why")
        elif not attempted and any(code not in IN_ORDER for code in codes):
            self.refuse(planned, f"no attempt began: a process {describe(codes[0])}; the worker's log says why")

    def _moved(self, run_id: str) -> bool:
        endings = self.store.endings(run_id)
        return bool(endings) and endings[max(endings)].moved

    @property
    def stopped_code(self) -> int:
        """What a worker exits with after a signal: IN_VAIN if no run has got on since it started."""
        return PREEMPTED if self.got_on else IN_VAIN

    def close(self) -> None:
        """Tidies the store, once nothing is left to do."""
        with contextlib.suppress(OSError, StoreError):
            self.store.compact()


def label(planned: PlannedRun) -> str:
    """Names a run for people."""
    return f"{planned.row} on {planned.column}, seed {planned.seed} ({planned.id})"
