"""Who owns an attempt, and whether that process is provably dead.

slurm/local.py reads boot and start time from /proc as well: the rooms must not import each other, nothing below both of
them exists, and ten lines are less than an interface that would hand them over.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from optathlon.results.record import Owner

PROC = Path("/proc")


def this_process(job: str | None = None, restart: int = 0) -> Owner:
    """The calling process as an owner (call it after a fork, in the child).

    job: the scheduler's name of the job, unique over clusters that share the store. restart: how often it restarted.
    """
    pid = os.getpid()
    return Owner(
        host=_host(),
        boot=_boot(),
        pid_namespace=_pid_namespace(),
        pid=pid,
        started=_started(pid) or "",
        job=job,
        restart=restart,
        user=_user(),
    )


def provably_dead(owner: Owner) -> bool:
    """Whether `owner` cannot be alive: its host has booted since, or it would be visible here and is not.

    False means only that this process cannot tell.
    """
    if owner.host == _host() and owner.boot != _boot():
        return bool(owner.boot and _boot())
    if not _visible(owner):
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass
    started = _started(owner.pid)
    return bool(started and owner.started and started != owner.started) or _zombie(owner.pid)


def provably_alive(owner: Owner) -> bool:
    """Whether `owner` is seen here, the very process, also a stopped one. False means only that it is not seen."""
    return _visible(owner) and bool(owner.started) and _started(owner.pid) == owner.started and not _zombie(owner.pid)


def _visible(owner: Owner) -> bool:
    """Whether the process `owner` would be seen from this one, if it were there."""
    here = (_host(), _boot(), _pid_namespace())
    return (owner.host, owner.boot, owner.pid_namespace) == here and owner.pid > 0


def restarted(before: Owner, now: Owner) -> bool:
    """Whether `before` is of an earlier restart of the same job; the slots of one job share its name and restart."""
    return before.job is not None and (before.job, before.user) == (now.job, now.user) and before.restart < now.restart


def _host() -> str:
    """As `socket.gethostname` says it, whose module takes longer to import than a small board to build."""
    return os.uname().nodename


def _boot() -> str:
    with contextlib.suppress(OSError):
        return (PROC / "sys/kernel/random/boot_id").read_text().strip()
    return ""


def _pid_namespace() -> str:
    with contextlib.suppress(OSError):
        return str(os.stat(PROC / "self/ns/pid").st_ino)
    return ""


def _stat(pid: int) -> list[str]:
    """The fields of /proc/<pid>/stat from the third (state) on; empty where they cannot be read (hidepid, no /proc)."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    return []


def _started(pid: int) -> str | None:
    """The 22nd field: start time in clock ticks since boot."""
    fields = _stat(pid)
    return fields[19] if len(fields) > 19 else None


def _zombie(pid: int) -> bool:
    return _stat(pid)[:1] in (["Z"], ["X"])


def _user() -> str:
    import getpass  # only here, for the same reason

    with contextlib.suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return ""
