"""What a Slurm cluster says of itself: limits, partitions, the queue."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from optathlon.slurm.cluster import ClusterError

PATIENCE = 60.0
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
# slurm.h's base states that are over, and LAUNCH_FAILED and RECONFIG_FAIL, flags that end a job. A state that is not
# listed, as a later Slurm may have, counts as alive: to wait for a job too long costs time, to replace one that lives
# trains a run twice.
ENDED = frozenset(
    {"COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "DEADLINE", "OUT_OF_MEMORY"}
    | {"REVOKED", "LAUNCH_FAILED", "RECONFIG_FAIL"}
)
ON_HOLD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
# Slurm's reasons (job_reason_string). Limits a job or a node stay passed; those a user or an account ease with time.
HELD = re.compile(r"JobHeld(User|Admin)|JobHoldMaxRequeue|.*\bheld\b.*")
NEVER = re.compile(
    r"DependencyNeverSatisfied|BadConstraints|PartitionTimeLimit|InvalidAccount|InvalidQOS|AccountNotAllowed"
    r"|QOSNotAllowed|MaxMemPerLimit|(QOS|Assoc)(Max\w*Per(Job|Node)(Limit)?|Min\w+)"
)
# What a user may have set for his own looks at the queue would hide jobs from ours, or make a command ask him.
LOOKS = ("SQUEUE_", "SCANCEL_", "SINFO_", "SACCT_")


@dataclass(frozen=True)
class Site:
    """A cluster as its controller describes it. requeues: whether jobs that do not ask for it are requeued."""

    name: str
    version: str
    max_array_size: int
    requeues: bool
    accounting: bool


@dataclass(frozen=True)
class Queued:
    """A copy of a job in the queue, or one that has just left it. job: its id; of an array, with the index."""

    job: str
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
    """What a Slurm command prints; ClusterError with what it says instead."""
    done = carried_out(words, environment={k: v for k, v in os.environ.items() if not k.startswith(LOOKS)})
    if done.returncode:
        said = (done.stderr or done.stdout).strip().rpartition("\n")[2] or f"exit code {done.returncode}"
        raise ClusterError(said if said.startswith(words[0]) else f"{words[0]}: {said}")
    return done.stdout


def carried_out(
    words: Sequence[str], typed: str = "", environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A Slurm command that was given `typed`, whatever its exit code; ClusterError if it cannot start or ever end."""
    try:
        return subprocess.run(
            words, input=typed, env=environment, capture_output=True, text=True, errors="replace", timeout=PATIENCE,
            check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise ClusterError(f"there is no {words[0]} here: this machine is not part of a Slurm cluster") from None
    except OSError as error:
        raise ClusterError(f"{words[0]} cannot be started: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{words[0]}: no answer from the Slurm controller within {PATIENCE:.0f} s") from None


def site() -> Site:
    """This machine's cluster. Raises ClusterError."""
    found = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", ask("scontrol", "show", "config"), re.MULTILINE))
    return Site(
        name=found.get("ClusterName", ""),
        version=found.get("SLURM_VERSION", ""),
        max_array_size=max(1, int(found.get("MaxArraySize", 1001))),  # 0: no arrays at all
        requeues=found.get("JobRequeue", "1") == "1",
        accounting=not found.get("AccountingStorageType", "").endswith("none"),
    )


def partitions() -> dict[str, str]:
    """The partitions that can be used, the default one first: nodes, cores, memory, GPUs and time limit in words."""
    found = {}
    for line in ask("sinfo", "-h", "-o", "%P|%a|%D|%c|%m|%G|%l").splitlines():
        name, up, nodes, cores, memory, gpus, limit = line.split("|")
        if up == "up":
            what = f"{nodes} nodes of {cores} cores, {memory} MB, {gpus.replace('(null)', 'no GPU')}; limit {limit}"
            found[name] = f"{found[name]}; {what}" if name in found else what
    return dict(sorted(found.items(), key=lambda item: not item[0].endswith("*")))


def queue(users: Iterable[str]) -> list[Queued]:
    """All jobs of `users`, every copy on its own, in one query. Raises ClusterError."""
    of, form = ",".join(sorted(users)), "%i|%T|%r|%u|%j"
    lines = ask("squeue", "-a", "-r", "-h", "-t", "all", "-u", of, "-o", form).splitlines()
    return [Queued(*line.split("|", 4)) for line in lines if line.count("|") >= 4]


def ends(jobs: Iterable[str], name: str) -> dict[str, str]:
    """The states in which Slurm's accounting says that the copies `jobs` of the job called `name` are, or ended.

    The name tells an id that is used again from the job. Raises ClusterError where there is no accounting.
    """
    lines = ask("sacct", "-X", "-n", "-P", "-j", ",".join(sorted(jobs)), "-o", "JobID,State,JobName").splitlines()
    rows = [line.split("|", 2) for line in lines if line.count("|") >= 2]
    return {job: state.partition(" ")[0] for job, state, called in rows if called == name}


def longest(partition: str | None) -> int | None:
    """The minutes that a job may take in `partition` (one of several with commas, or the default); None: no limit."""
    asked = set(partition.split(",")) if partition else {""}
    found = []
    for line in ask("sinfo", "-a", "-h", "-o", "%P|%l").splitlines():
        name, _, limit = line.rpartition("|")
        if name.rstrip("*") in asked or (name.endswith("*") and "" in asked):
            found.append(_minutes(limit))
    return None if None in found else max((limit for limit in found if limit is not None), default=None)


def _minutes(limit: str) -> int | None:
    """What sinfo writes as D-HH:MM:SS, or less of it; None for no limit, or none that is known."""
    if (match := re.fullmatch(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)", limit)) is None:
        return None
    days, hours, minutes, _ = (int(part or 0) for part in match.groups())
    return (days * 24 + hours) * 60 + minutes


def submit_limit(user: str, account: str | None, qos: str | None) -> int | None:
    """How many jobs `user` may have in the queue at once, every copy counted, by association and QOS; None: no limit,
    or no accounting that would say."""
    found = []
    with contextlib.suppress(ClusterError):
        rows = _rows("assoc", "where", f"user={user}", "format=Account,MaxSubmitJobs,DefaultQOS")
        rows = [row for row in rows if len(row) == 3 and account in (None, row[0])]
        found += [row[1] for row in rows]
        qos = qos or next((row[2] for row in rows if row[2]), "normal")
        found += [value for row in _rows("qos", qos, "format=MaxSubmitJobsPU,MaxSubmitJobsPA") for value in row]
    return min((int(value) for value in found if value.isdecimal()), default=None)


def _rows(*words: str) -> list[list[str]]:
    return [line.split("|") for line in ask("sacctmgr", "-n", "-P", "show", *words).splitlines()]
