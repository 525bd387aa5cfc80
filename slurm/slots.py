"""Slots of this machine, or of this Slurm job's part of it, a GPU or else a core each, held by file locks that all
launches share and that die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Slot:
    """A slot that this process holds, with the children it forks: while one of them lives, nobody else gets it."""

    name: str
    environment: dict[str, str]
    descriptor: int

    def release(self) -> None:
        """Free the slot, also where forked children still have its descriptor."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)

    def leave(self) -> None:
        """In a forked child: let go of a slot that belongs to another child."""
        os.close(self.descriptor)


def names(at_least: int = 1) -> list[str]:
    """The slots here: the visible GPUs if there are any, else the cores that this process may use.

    GPUs are shared, gpu-0, gpu-1, gpu-0+1, ..., where there are fewer than `at_least`; cores are not.
    """
    if gpus := _gpus():
        rounds = -(-max(at_least, len(gpus)) // len(gpus))
        return [f"gpu-{gpu}+{turn}" if turn else f"gpu-{gpu}" for turn in range(rounds) for gpu in gpus]
    return [f"core-{core}" for core in range(_cores())]


def _cores() -> int:
    """The cores of this Slurm job, which a cluster need not confine it to; else those this process is confined to."""
    if "SLURM_JOB_ID" in os.environ:
        for key in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
            if os.environ.get(key, "").isdecimal():
                return int(os.environ[key])
    return len(os.sched_getaffinity(0))


def _gpus() -> list[str]:
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    folder = Path("/proc/driver/nvidia/gpus")
    return [str(i) for i in range(len(list(folder.iterdir())))] if folder.is_dir() else []


def acquire(taken: set[str], folder: Path | None = None, at_least: int = 1) -> Slot | None:
    """A free slot that is not among `taken` (those this process holds already), or None. Never waits.

    at_least: see `names`.
    """
    # Two Slurm jobs on a node may each be shown a GPU 0, and mean two.
    job = f"-{os.environ['SLURM_JOB_ID']}" if "SLURM_JOB_ID" in os.environ else ""
    folder = folder or Path(tempfile.gettempdir()) / f"optathlon-slots{job}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(parents=True)
        folder.chmod(0o1777)
    for name in names(at_least):
        if name in taken:
            continue
        descriptor = _open(folder / f"{name}.lock")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(descriptor)
            continue
        gpu = {"CUDA_VISIBLE_DEVICES": name.removeprefix("gpu-").partition("+")[0]} if name.startswith("gpu-") else {}
        return Slot(name, gpu, descriptor)
    return None


def _open(path: Path) -> int:
    """Open for reading, which is enough for a lock and allowed on other users' files in a sticky folder."""
    try:
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666)
        return descriptor
