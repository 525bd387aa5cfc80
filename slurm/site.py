"""Asks a Slurm cluster about itself: its limits, partitions and queue."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from optathlon.slurm.cluster import ClusterError

PATIENCE_SECONDS = 60.0
"""How long a Slurm command may take; its controller may be busy."""

WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
# slurm.h's base states that are over, and LAUNCH_FAILED and RECONFIG_FAIL, flags that end a job. A state that is not
# listed, as a later Slurm may have, counts as alive: to wait for a job too long costs time, to replace one that lives
# trains a run twice.
ENDED = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"}
    | {"REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL"}
)
ON_HOLD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
# Slurm's reasons why a job waits (job_reason_string). A limit per job or node that is passed stays passed, so the job
# never starts; one per user or account is passed only while others of them run.
HELD = re.compile(r"JobHeld(User|Admin)|JobHoldMaxRequeue|.*\bheld\b.*")
NEVER = re.compile(
    r"DependencyNeverSatisfied|BadConstraints|PartitionTimeLimit|InvalidAccount|InvalidQOS|AccountNotAllowed"
    r"|QOSNotAllowed|MaxMemPerLimit|(QOS|Assoc)(Max\w*Per(Job|Node)(Limit)?|Min\w+)"
)
# Settings that a user may have made for the commands' use by hand: they would hide jobs from us or make a command ask.
USER_SETTINGS = ("SQUEUE_", "SCANCEL_", "SINFO_", "SACCT_")


@dataclass(frozen=True)
class Site:
    """A cluster as its controller describes it."""

    name: str
    version: str
    max_array_size: int
    requeues: bool
    """Whether jobs that do not ask for it are requeued."""
    accounting: bool
    """Whether Slurm keeps accounts, and so can be asked about limits and ended jobs."""


@dataclass(frozen=True)
class Queued:
    """A copy of a job in the queue, or one that has just left it."""

    job: str
    """Its id; of a copy of an array with the index, 17_3."""
    state: str
    reason: str
    user: str
    name: str

    @property
    def over(self) -> bool:
        """Whether it has ended, however."""
        return self.state in ENDED

    @property
    def held(self) -> bool:
        """Whether it waits until somebody releases it."""
        return self.state in WAITING and (self.state in ON_HOLD or HELD.fullmatch(self.reason) is not None)

    @property
    def never(self) -> bool:
        """Whether it cannot start as it was submitted, however long it waits."""
        return self.state in WAITING and NEVER.fullmatch(self.reason) is not None


def ask(*words: str) -> str:
    """Returns what a Slurm command prints; raises ClusterError with its message if it fails."""
    done = carried_out(words, environment={k: v for k, v in os.environ.items() if not k.startswith(USER_SETTINGS)})
    if done.returncode:
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ClusterError(said if said.startswith(words[0]) else f"{words[0]}: {said}")
    return done.stdout


def carried_out(
    words: Sequence[str], typed: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a Slurm command with `typed` on its standard input, whatever its exit code.

    Raises ClusterError if it cannot be started or does not end in PATIENCE_SECONDS.
    """
    try:
        return subprocess.run(
            words, input=typed, env=environment, capture_output=True, text=True, errors="replace",
            timeout=PATIENCE_SECONDS, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ClusterError(f"there is no {words[0]} here: this machine is not part of a Slurm cluster") from None
    except OSError as error:
        raise ClusterError(f"{words[0]} cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{words[0]}: no answer from the Slurm controller within {PATIENCE_SECONDS:.0f} s") from None


def site() -> Site:
    """Returns this machine's cluster. Raises ClusterError."""
    config = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", ask("scontrol", "show", "config"), re.MULTILINE))
    return Site(
        name=config.get("ClusterName", ""),
        version=config.get("SLURM_VERSION", ""),
        max_array_size=max(1, int(config.get("MaxArraySize", 1001))),  # 0: no arrays at all
        requeues=config.get("JobRequeue", "1") == "1",
        accounting=not config.get("AccountingStorageType", "").endswith("none"),
    )


def partitions() -> dict[str, str]:
    """Describes each partition that is up, the default one first: nodes, cores, memory, GPUs and time limit."""
    described = {}
    for line in ask("sinfo", "-h", "-o", "%P|%a|%D|%c|%m|%G|%l").splitlines():
        name, up, nodes, cores, memory, gpus, limit = line.split("|")
        if up == "up":
            what = f"{nodes} nodes of {cores} cores, {memory} MB, {gpus.replace('(null)', 'no GPU')}; limit {limit}"
            described[name] = f"{described[name]}; {what}" if name in described else what
    return dict(sorted(described.items(), key=lambda item: not item[0].endswith("*")))


def queue(users: Iterable[str]) -> list[Queued]:
    """Returns every copy of every job of `users`, by one query. Raises ClusterError."""
    names, form = ",".join(sorted(users)), "%i|%T|%r|%u|%j"
    lines = ask("squeue", "-a", "-r", "-h", "-t", "all", "-u", names, "-o", form).splitlines()
    return [Queued(*line.split("|", 4)) for line in lines if line.count("|") >= 4]


def ends(jobs: Iterable[str], name: str) -> dict[str, str]:
    """Returns, by Slurm's accounting, the state of each of the copies `jobs` of the job called `name`.

    Ids are used again: what has one of them and another name is left out. Raises ClusterError without accounting.
    """
    lines = ask("sacct", "-X", "-n", "-P", "-j", ",".join(sorted(jobs)), "-o", "JobID,State,JobName").splitlines()
    rows = [line.split("|", 2) for line in lines if line.count("|") >= 2]
    return {job: state.partition(" ")[0] for job, state, called in rows if called == name}


def longest(partition: str | None) -> int | None:
    """Returns the most minutes that a job may take in `partition`; None for no limit.

    partition: several with commas, of which the most generous counts; None: the default one.
    """
    asked = set(partition.split(",")) if partition else {""}
    limits = []
    for line in ask("sinfo", "-a", "-h", "-o", "%P|%l").splitlines():
        name, _, limit = line.rpartition("|")
        if name.rstrip("*") in asked or (name.endswith("*") and "" in asked):
            limits.append(_minutes(limit))
    return None if None in limits else max((limit for limit in limits if limit is not None), default=None)


def _minutes(limit: str) -> int | None:
    """Reads sinfo's D-HH:MM:SS, whose first parts may be missing; None for any other word, such as "infinite"."""
    if (match := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)) is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def submit_limit(user: str, account: str | None, qos: str | None) -> int | None:
    """Returns how many copies of jobs `user` may have in the queue at once, by association and QOS; None for no limit,
    or where accounting does not answer."""
    limits = []
    with contextlib.suppress(ClusterError):
        rows = _rows("assoc", "where", f"user={user}", "format=Account,MaxSubmitJobs,DefaultQOS")
        rows = [row for row in rows if len(row) == 3 and account in (None, row[0])]
        limits += [row[1] for row in rows]
        qos = qos or next((row[2] for row in rows if row[2]), "normal")
        limits += [value for row in _rows("qos", qos, "format=MaxSubmitJobsPU,MaxSubmitJobsPA") for value in row]
    return min((int(value) for value in limits if value.isdecimal()), default=None)


def _rows(*words: str) -> list[list[str]]:
    return [line.split("|") for line in ask("sacctmgr", "-n", "-P", "show", *words).splitlines()]
