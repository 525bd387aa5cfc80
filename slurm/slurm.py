"""Jobs on a Slurm cluster: arrays submitted through submitit, asked about in one query, found again by their names."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from optathlon.slurm import nodes, site
from optathlon.slurm.cluster import Alive, Cluster, ClusterError, Job, Resources
from optathlon.slurm.step import run

if TYPE_CHECKING:
    from submitit import SlurmExecutor

ANSWER_SECONDS = 15.0
"""How long an answer of squeue is believed."""

FOREVER = 1_000_000
"""Timeouts after which submitit would give a job up; slurm.step decides about that."""

QUEUE_FULL = re.compile(r"(Max|Grp)SubmitJobs?(Per\w+)?Limit")
"""Refusals of sbatch that `room` foresees; they say nothing against the job itself."""

NOT_NOW = re.compile(r"node configuration is not available|nodes are busy|DOWN, DRAINED")
"""Refusals of sbatch --test-only of a job that would wait for nodes to come back into service."""

DEFAULTS = ("ACCOUNT", "PARTITION", "QOS", "CONSTRAINT", "RESERVATION")
"""SBATCH_ variables that a user or a site may have set for every job. Any other would override our script."""


class SlurmCluster(Cluster):
    """The Slurm cluster that this machine belongs to.

    A handle is slurm:<cluster>:<user>:<job name>, so job names must be unique. The name and not the job's id, because
    it is known before the job is submitted: a job whose launcher died is found again, and a job id that Slurm gives
    anew is never taken for the job.
    """

    def __init__(self) -> None:
        self._ids: dict[str, list[str]] = {}
        self._answers: dict[tuple[str, ...], tuple[float, list[site.Queued]]] = {}

    @cached_property
    def site(self) -> site.Site:
        return site.site()

    def handle(self, name: str) -> str:
        """The handle that a job called `name` has, or will have."""
        return f"slurm:{self.site.name}:{_user()}:{name}"

    def room(self, account: str | None = None, qos: str | None = None) -> int | None:
        """Returns how many more copies accounting lets the caller submit now; None where no limit is known."""
        user = _user()
        if not self.site.accounting or (limit := site.submit_limit(user, account, qos)) is None:
            return None
        return max(0, limit - sum(not job.over for job in self._queue([user])))

    def admitted(self, job: Job) -> int:
        """Returns how many copies of `job`, at most one array's, the controller would queue now; submits nothing.

        This includes limits of groups and partitions, which `room` does not know. Raises ClusterError.
        """
        # No command tells these limits, but sbatch --test-only says of an array whether it is too large: bisection.
        least, most = 0, min(job.copies, self.site.max_array_size)
        tried = most
        while least < most:
            full = QUEUE_FULL.search(self._refusal(replace(job, copies=tried)))
            least, most = (least, tried - 1) if full else (tried, most)
            tried = (least + most + 1) // 2
        return least

    def submit(self, job: Job) -> str:
        handle = self.handle(job.name)
        job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        done = 0
        for executor, copies in self._executors(job):
            try:
                with _undisturbed(executor.parameters), _in_our_words():
                    jobs = executor.map_array(run, [job.argv] * copies, [dict(job.environment)] * copies)
            except ClusterError as error:
                raise ClusterError(f"{error}; {done} of {job.copies} workers are queued") if done else error from None
            done += copies
            self._ids.setdefault(handle, []).append(jobs[0].job_id.partition("_")[0])
        self._answers.clear()
        return handle

    def scripts(self, job: Job) -> list[str]:
        """Returns the scripts that `submit` would hand to sbatch, one per array."""
        texts = []
        for executor, copies in self._executors(job):
            if copies > 1:
                executor.parameters["map_count"] = copies
            texts.append(executor._make_submission_file_text(executor._submitit_command_str, ""))
        return texts

    def check(self, job: Job) -> str:
        """Asks the controller whether it would accept `job`; submits nothing.

        Returns a sentence on nodes out of service that the job would wait for, or "". Raises ClusterError with the
        controller's answer if it would refuse the job.
        """
        asked, later = job.resources, ""
        partition = asked.partition or os.environ.get("SBATCH_PARTITION")
        refusal = self._refusal(job)
        if refusal and not QUEUE_FULL.search(refusal) and not (later := _later(refusal, asked, partition)):
            raise ClusterError(refusal)
        # Where EnforcePartLimits is off, Slurm accepts a job that asks for more time than its partition gives, and lets
        # it wait forever. A QOS may allow the time.
        most = site.longest(partition) if asked.minutes and not asked.qos else None
        if asked.minutes and most is not None and asked.minutes > most:
            where = f"partition {partition}" if partition else "the default partition"
            raise ClusterError(
                f"{where} gives a job {most} min at most, {asked.minutes} are asked for: it would not start"
            )
        return later

    def _refusal(self, job: Job) -> str:
        """Returns why `sbatch --test-only` refuses `job`, "" if it does not."""
        executor, _ = next(self._executors(job))
        with _undisturbed(executor.parameters):
            tried = site.carried_out(["sbatch", "--test-only"], typed=self.scripts(job)[0])
        return _reason(tried.stderr) if tried.returncode else ""

    def alive(self, handles: Iterable[str]) -> dict[str, Alive]:
        alive = {handle: Alive(known=False) for handle in handles}
        with contextlib.suppress(ClusterError):
            alive |= self._look(alive)
        return alive

    def cancel(self, handles: Iterable[str]) -> list[str]:
        asked, refused = [], ""
        for handle in [handle for handle, alive in self._look(handles).items() if alive]:
            _, _, user, name = handle.split(":")
            try:
                site.ask("scancel", "--name", name, "--user", user)
                asked.append(handle)
            except ClusterError as error:
                refused = f"{error}; asked to stop: {', '.join(asked) or 'none'}"
        self._answers.clear()
        if refused:
            raise ClusterError(refused)
        return asked

    def withdraw(self, names: Iterable[str]) -> None:
        """Cancels copies that still wait, given by the names that `this_job` returns in them. Raises ClusterError."""
        if copies := [name.rpartition(":")[2] for name in names]:
            site.ask("scancel", "--state=PENDING", *copies)
            self._answers.clear()

    def ended(self, names: Iterable[str]) -> dict[str, str]:
        """Returns Slurm's final state per copy that is over, given by the names that `this_job` returned in them.

        Copies that neither the queue, which shows them for a while, nor accounting knows are left out.
        """
        states: dict[str, str] = {}
        jobs: dict[str, list[str]] = defaultdict(list)
        for name in names:
            handle, _, job = name.rpartition(":")
            jobs[handle].append(job)
        users = {handle.split(":")[2] for handle in jobs if handle.count(":") == 3}
        with contextlib.suppress(ClusterError):
            for job in self._queue(users) if users else ():
                handle = f"slurm:{self.site.name}:{job.user}:{job.name}"
                if job.over and job.job in jobs.get(handle, ()):
                    states[f"{handle}:{job.job}"] = job.state
        with contextlib.suppress(ClusterError):
            for handle, copies in jobs.items() if self.site.accounting else ():
                if unseen := [job for job in copies if f"{handle}:{job}" not in states]:
                    accounted = site.ends(unseen, handle.rpartition(":")[2])
                    states |= {f"{handle}:{job}": state for job, state in accounted.items() if state in site.ENDED}
        return states

    def _look(self, handles: Iterable[str]) -> dict[str, Alive]:
        """Returns what is alive of those of the jobs that are this cluster's, by one query for all of them."""
        parts = {handle: handle.split(":") for handle in handles if handle.startswith("slurm:")}
        ours = {handle: p for handle, p in parts.items() if len(p) == 4 and p[1] == self.site.name}
        if not ours:
            return {}
        queued: dict[tuple[str, str], list[site.Queued]] = defaultdict(list)
        for job in self._queue({user for _, _, user, _ in ours.values()}):
            if not job.over:
                queued[job.user, job.name].append(job)
        return {handle: _alive(handle, queued[user, name]) for handle, (_, _, user, name) in ours.items()}

    def _queue(self, users: Iterable[str]) -> list[site.Queued]:
        key = tuple(sorted(users))
        asked, answer = self._answers.get(key, (-ANSWER_SECONDS, []))
        if time.monotonic() - asked >= ANSWER_SECONDS:
            answer = site.queue(key)
            self._answers[key] = time.monotonic(), answer
        return answer

    def _executors(self, job: Job) -> Iterator[tuple[SlurmExecutor, int]]:
        """Yields one executor per array of `job`, with the array's size."""
        if not str(job.folder).isprintable() or "%" in str(job.folder) or "\\" in str(job.folder):
            raise ClusterError(f"{job.folder}: Slurm gives % and \\ in a job's folder another meaning; move the store")
        left = job.copies
        while left > 0:
            copies = min(left, self.site.max_array_size)
            python = job.resources.python
            with _in_our_words():
                executor = self._executor_class()(job.folder, max_num_timeout=FOREVER, python=python or None)
                if python is None:
                    executor.python += " -P"
                executor.update_parameters(**self._parameters(job), array_parallelism=copies)
            yield executor, copies
            left -= copies

    def _executor_class(self) -> type[SlurmExecutor]:
        import submitit

        return submitit.SlurmExecutor

    def _parameters(self, job: Job) -> dict[str, Any]:
        asked = job.resources
        more: dict[str, Any] = {"requeue": True, "chdir": str(job.folder), **asked.sbatch}
        if asked.reservation:
            more["reservation"] = asked.reservation
        srun = [f"--cpus-per-task={asked.cpus}", *asked.srun]  # sbatch's is not srun's since Slurm 22.05
        if asked.nodes * asked.processes > 1:
            srun.append("--kill-on-bad-exit=1")
        return {
            "job_name": job.name,
            "partition": asked.partition,
            "account": asked.account,
            "qos": asked.qos,
            "constraint": asked.constraint,
            "exclude": asked.exclude,
            "nodes": asked.nodes,
            "ntasks_per_node": asked.processes,
            "gpus_per_node": asked.gpus,
            "cpus_per_task": asked.cpus,
            "mem": asked.memory,
            "time": asked.minutes,
            "signal_delay_s": asked.notice,
            "setup": list(asked.setup) or None,
            "dependency": self._dependency(job.after),
            "additional_parameters": more,
            "srun_args": srun,
            "stderr_to_stdout": True,
            "wckey": None,
        }

    def _dependency(self, after: Iterable[str]) -> str | None:
        """Returns sbatch's `afterany` on the jobs with the handles `after`, whoever submitted them; None for none."""
        ids: list[str] = []
        for handle in after:
            if handle not in self._ids:
                alive = self.alive([handle])[handle]
                if not alive.known:
                    raise ClusterError(f"the Slurm controller does not answer: whether {handle} is over is unknown")
                copies = (copy.rpartition(":")[2].partition("_")[0] for copy in (*alive.running, *alive.pending))
                self._ids[handle] = list(dict.fromkeys(copies))
            ids += self._ids[handle]
        return ":".join(["afterany", *ids]) if ids else None


def _user() -> str:
    """Returns the caller's name as Slurm knows it: by the user id, whatever the environment says."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _alive(handle: str, queued: list[site.Queued]) -> Alive:
    pending = {f"{handle}:{job.job}": job for job in queued if job.state in site.WAITING}
    return Alive(
        running=tuple(f"{handle}:{job.job}" for job in queued if job.state not in site.WAITING),
        pending=tuple(pending),
        behind=frozenset(name for name, job in pending.items() if job.reason == "Dependency"),
        held=frozenset(name for name, job in pending.items() if job.held),
        never=frozenset(name for name, job in pending.items() if job.never),
        why={name: job.reason for name, job in pending.items()},
    )


@contextlib.contextmanager
def _undisturbed(parameters: dict[str, Any]) -> Iterator[None]:
    """Takes out of the environment what would change our script: the user's settings and a surrounding job's."""
    before = dict(os.environ)
    unchanged = {"SLURM_CONF"} | {f"SBATCH_{key}" for key in DEFAULTS if not parameters.get(key.lower())}
    for key in before.keys() - unchanged:
        if key.startswith(("SLURM_", "SLURMD_", "SRUN_", "SBATCH_", "SUBMITIT_")):
            del os.environ[key]
    try:
        yield
    finally:
        os.environ.update(before)


@contextlib.contextmanager
def _in_our_words() -> Iterator[None]:
    """Raises the errors of submitit and sbatch as a ClusterError of one line."""
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        yield
    except (FailedJobError, FailedSubmissionError) as error:
        raise ClusterError(_reason(str(error))) from None
    except RuntimeError as error:
        raise ClusterError(str(error)) from None


def _later(refusal: str, asked: Resources, partition: str | None) -> str:
    """Returns a sentence on the nodes that a job refused by `sbatch --test-only` would wait for; "" if there are none.

    sbatch itself accepts such a job, as nodes come back into service.
    """
    if NOT_NOW.search(refusal):
        with contextlib.suppress(ClusterError):
            if out := nodes.awaited(asked, partition):
                return f"too few of the nodes that would do are in service: {nodes.out_of_service_message(out)}"
    return ""


def _reason(text: str) -> str:
    """Returns sbatch's error lines as one sentence; the whole text if there are none."""
    lines = re.findall(r"^(?:sbatch: error: |allocation failure: |sbatch: fatal: )(.*)$", text, re.MULTILINE)
    return f"sbatch: {'; '.join(dict.fromkeys(lines))}" if lines else text.strip()
