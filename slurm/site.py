"""What a Slurm cluster says of itself: limits, partitions, the queue."""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

from slurm.cluster import ClusterError

PATIENCE = 60.0
WAITING = frozenset({"PENDING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})
STARTED = frozenset(
    {"CONFIGURING", "RUNNING", "SIGNALING", "SUSPENDED", "STOPPED", "RESIZING", "STAGE_OUT", "COMPLETING"}
)
LIVING = WAITING | STARTED  # jobs in all other states are over


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


def ask(*words: str) -> str:
    """What a Slurm command prints; ClusterError with what it says instead."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE, check=True)
    except FileNotFoundError:
        raise ClusterError(f"there is no {words[0]} here: this machine is not part of a Slurm cluster") from None
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{words[0]}: no answer from the Slurm controller within {PATIENCE:.0f} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout).strip().rpartition("\n")[2] or f"exit code {error.returncode}"
        raise ClusterError(said if said.startswith(words[0]) else f"{words[0]}: {said}") from None
    return done.stdout


def site() -> Site:
    """This machine's cluster. Raises ClusterError."""
    found = dict(re.findall(r"^(\w+)\s*= (.*?)\s*$", ask("scontrol", "show", "config"), re.MULTILINE))
    return Site(
        name=found.get("ClusterName", ""),
        version=found.get("SLURM_VERSION", ""),
        max_array_size=int(found.get("MaxArraySize", 1001)),
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
    lines = ask("squeue", "-r", "-h", "-t", "all", "-u", ",".join(sorted(users)), "-o", "%i|%T|%r|%u|%j").splitlines()
    return [Queued(*line.split("|", 4)) for line in lines if line.count("|") >= 4]


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
