"""Slots of this machine, or of this Slurm job's part of it, a GPU or else a core each, held by file locks that all
launches share and that die with their holder."""

from __future__ import annotations

import contextlib
import fcntl
import itertools
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from optathlon.slurm.cluster import ClusterError

FOLDER = "optathlon-slots"
OPEN_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
GPU_NAME = re.compile(r"(GPU|MIG)-[0-9A-Fa-f-]+|MIG-GPU-[0-9A-Fa-f-]+/\d+/\d+")
LOCK = re.compile(r"(gpu|core)-[\w.+:-]+\.lock")


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
    if gpus := visible_gpus():
        rounds = -(-max(at_least, len(gpus)) // len(gpus))
        numbered = [f"gpu-{_file_name(gpu)}" for gpu in gpus]
        return [f"{name}+{turn}" if turn else name for turn in range(rounds) for name in numbered]
    return [f"core-{core}" for core in range(_cores())]


def _cores() -> int:
    """The cores of this Slurm job, which a cluster need not confine it to; else those this process is confined to."""
    if "SLURM_JOB_ID" in os.environ:
        for key in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
            if os.environ.get(key, "").isdecimal():
                return int(os.environ[key])
    return len(os.sched_getaffinity(0))


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA names them.

    Found without touching CUDA, which a process that forks must not.

    CUDA reads CUDA_VISIBLE_DEVICES up to the first word that names no GPU ("-1", "none", "NoDevFiles", a number beyond
    the last), and shows none at all where one is named twice.
    """
    folder = Path("/proc/driver/nvidia/gpus")
    there = len(list(folder.iterdir())) if folder.is_dir() else None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(i) for i in range(there or 0)]
    words = [word.strip() for word in visible.split(",")]
    gpus = list(itertools.takewhile(lambda word: _names_a_gpu(word, there), words))
    return gpus if len(set(gpus)) == len(gpus) else []


def _names_a_gpu(word: str, there: int | None) -> bool:
    """there: how many GPUs the driver shows; None where it shows nothing, so that any number may be one."""
    if word.isascii() and word.isdecimal():
        return there is None or int(word) < there
    return GPU_NAME.fullmatch(word) is not None


def _file_name(gpu: str) -> str:
    return gpu.replace("/", ":")  # older MIG devices are called MIG-GPU-<uuid>/<instance>/<instance>


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Where the slots are locked while the block runs: in a folder that all users of this machine share, or in one of
    this Slurm job, which is removed afterwards. What jobs of this user that were killed left here is removed before.

    Raises ClusterError if the job's folder is another user's.
    """
    path = _path()
    for left in path.parent.glob(f"{FOLDER}-*"):
        _remove(left)
    if path.name == FOLDER:
        yield path
        return
    held = _hold(path)
    try:
        yield path
    finally:
        os.close(held)
        _remove(path)


def _path() -> Path:
    # Two Slurm jobs on a node may each be shown a GPU 0, and mean two. With the user, as job ids come again.
    job = f"-{os.environ['SLURM_JOB_ID']}-{os.geteuid()}" if "SLURM_JOB_ID" in os.environ else ""
    return Path(tempfile.gettempdir()) / f"{FOLDER}{job}"


def _hold(folder: Path) -> int:
    """Make `folder` if it is not there; while the descriptor, or one that a child inherits, is open, nobody removes
    it."""
    while True:
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            descriptor = os.open(folder, OPEN_FOLDER)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and folder.parent.is_dir():
                continue  # removed just now, as one that a killed start of this job had left
            raise ClusterError(f"{folder}: {error.strerror}: it must be a folder of this job's own") from None
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.close(descriptor)
            raise ClusterError(f"{folder}: belongs to another user: it must be a folder of this job's own")
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.lstat(folder), os.fstat(descriptor)):
                return descriptor
        os.close(descriptor)


def _remove(folder: Path) -> None:
    """Remove the slots' folder of a job unless somebody holds it or a lock in it, it is another user's, a link, or has
    anything else in it."""
    with contextlib.suppress(OSError), contextlib.ExitStack() as opened:
        descriptor = os.open(folder, OPEN_FOLDER)
        opened.callback(os.close, descriptor)
        if os.fstat(descriptor).st_uid != os.geteuid():
            return
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        locks = os.listdir(descriptor)
        if not all(LOCK.fullmatch(name) for name in locks):
            return
        for name in locks:
            lock = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=descriptor)
            opened.callback(os.close, lock)
            if not stat.S_ISREG(os.fstat(lock).st_mode):
                return
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for name in locks:
            os.unlink(name, dir_fd=descriptor)
        folder.rmdir()


def acquire(taken: set[str], folder: Path | None = None, at_least: int = 1) -> Slot | None:
    """A free slot that is not among `taken` (those this process holds already), or None. Never waits.

    folder: where they are locked, as `folder` says. at_least: see `names`.
    """
    folder = folder or _path()
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
        return Slot(name, _environment(name), descriptor)
    return None


def holders(folder: Path | None = None) -> dict[str, int]:
    """The process that took each slot that is held, as far as the kernel shows it here.

    folder: where they are locked, as `folder` says.
    """
    folder = folder or _path()
    try:
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    except OSError:
        return {}
    owners = {
        words[5].rpartition(":")[2]: int(words[4]) for words in locks if words[1] == "FLOCK" and "->" not in words
    }
    inodes = {}
    for name in names():
        with contextlib.suppress(OSError):
            inodes[name] = str((folder / f"{name}.lock").stat().st_ino)
    return {name: owners[inode] for name, inode in inodes.items() if owners.get(inode, 0) > 0}


def _environment(slot: str) -> dict[str, str]:
    """What shows a run the slot's GPU alone."""
    called = {_file_name(gpu): gpu for gpu in visible_gpus()}
    gpu = called.get(slot.removeprefix("gpu-").partition("+")[0])
    return {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}


def _open(path: Path) -> int:
    """Open for reading, which is enough for a lock and allowed on other users' files in a sticky folder."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666)
        return descriptor
