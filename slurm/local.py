"""Jobs on this machine: detached processes that outlive the one that started them."""

from __future__ import annotations

import contextlib
import os
import platform
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from optathlon.slurm.cluster import PYTHON, Alive, Cluster, Job

# What torchrun, a pod or srun set for one rank of several. They are taken out of a job's environment: a worker that is
# started from inside such a process (a shell in `srun --pty`, say) is not one of its ranks.
OF_A_RANK = {"RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK", "MASTER_ADDR", "MASTER_PORT"}
OF_A_RANK |= {"SLURM_STEP_ID", "SLURM_STEPID", "SLURM_PROCID", "SLURM_LOCALID", "SLURM_NODEID"}
OF_A_RANK |= {"SLURM_NTASKS", "SLURM_NPROCS", "SLURM_STEP_NUM_TASKS"}


class LocalCluster(Cluster):
    """This machine. Each job is a session of its own, which Ctrl-C in the launcher or its terminal's end does not stop.

    A handle is local:<host>:<boot id>:<pid>:<start time>, so a recycled process id is never taken for the job.
    """

    def __init__(self) -> None:
        self._started: list[subprocess.Popen[bytes]] = []

    def submit(self, job: Job) -> str:
        job.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (job.folder / "log.txt").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable if word == PYTHON else word for word in job.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=job.folder,
                env={**{k: v for k, v in os.environ.items() if k not in OF_A_RANK}, **job.environment},
                start_new_session=True,
            )
        self._started.append(process)
        return _handle(process.pid)

    def alive(self, handles: Iterable[str]) -> dict[str, Alive]:
        for process in self._started:
            process.poll()
        return {handle: _alive(handle) for handle in handles}

    def cancel(self, handles: Iterable[str]) -> list[str]:
        asked = []
        for handle in handles:
            if _alive(handle):
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(int(handle.split(":")[3]), signal.SIGTERM)
                    asked.append(handle)
        return asked


def _handle(pid: int) -> str:
    return f"local:{platform.node()}:{_boot()}:{pid}:{_start_time(pid)}"


def _alive(handle: str) -> Alive:
    kind, host, boot, pid, started = (handle.split(":") + [""] * 5)[:5]
    if kind != "local" or host != platform.node():
        return Alive(known=False)
    runs = started and boot == _boot() and _start_time(int(pid)) == started
    return Alive(running=(handle,)) if runs else Alive()


# Boot and start time tell a process from a later one of its number. results/store/process_identity.py reads both as
# well: the rooms must not import each other, nothing below both of them exists, and ten lines are less than an
# interface that would hand them over.
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"


def _start_time(pid: int) -> str:
    """Returns when process `pid` started, in clock ticks since boot; "" if there is none, or only one to be reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in ("Z", "X") else fields[19]
