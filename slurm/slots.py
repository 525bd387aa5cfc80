"""Slots: a slot is a GPU of this machine, or a core where there is none, that one run holds by a lock on a file.

Every launch on this machine, by any user, locks the same files; inside a Slurm job, every process of that job does. The
kernel drops a lock when its holder dies.
"""

from __future__ import annotations

import contextlib
import fcntl
import glob
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
    """A slot that this process and the children that it forks hold: nobody else gets it while one of them lives."""

    name: str
    environment: dict[str, str]
    """Variables that show a run this slot's GPU and no other."""
    descriptor: int
    """Of the locked file."""

    def release(self) -> None:
        """Frees the slot, also where forked children still have its descriptor."""
        fcntl.flock(self.descriptor, fcntl.LOCK_UN)
        os.close(self.descriptor)

    def leave(self) -> None:
        """Lets go, in a forked child, of a slot that belongs to another child."""
        os.close(self.descriptor)


def names(at_least: int = 1) -> list[str]:
    """Returns the names of this machine's slots: its visible GPUs if there are any, else the cores for this process.

    Where there are fewer GPUs than `at_least`, slots share them in turn: gpu-0, gpu-1, gpu-0+1, ... Cores are never
    shared.
    """
    if gpus := visible_gpus():
        rounds = -(-max(at_least, len(gpus)) // len(gpus))
        numbered = [f"gpu-{_file_name(gpu)}" for gpu in gpus]
        return [f"{name}+{turn}" if turn else name for turn in range(rounds) for name in numbered]
    return [f"core-{core}" for core in range(_cores())]


def _cores() -> int:
    """Returns to how many cores this process is confined; in a Slurm job how many the job asked for, since not every
    cluster confines jobs to them."""
    if "SLURM_JOB_ID" in os.environ:
        for key in ("SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"):
            if os.environ.get(key, "").isdecimal():
                return int(os.environ[key])
    return len(os.sched_getaffinity(0))


def visible_gpus() -> list[str]:
    """Returns the GPUs that this process may use, as CUDA names them.

    CUDA itself is not asked: a process that has touched it cannot fork children that use it. As CUDA does, this reads
    CUDA_VISIBLE_DEVICES up to the first word that names no GPU ("-1", "none", "NoDevFiles", a number beyond the last),
    and finds none at all where one is named twice.
    """
    driver = Path("/proc/driver/nvidia/gpus")
    count = len(list(driver.iterdir())) if driver.is_dir() else None
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return [str(i) for i in range(count or 0)]
    words = [word.strip() for word in visible.split(",")]
    gpus = list(itertools.takewhile(lambda word: _names_a_gpu(word, count), words))
    return gpus if len(set(gpus)) == len(gpus) else []


def _names_a_gpu(word: str, count: int | None) -> bool:
    """count: how many GPUs the driver shows; None where it shows nothing, so that any number may name one."""
    if word.isascii() and word.isdecimal():
        return count is None or int(word) < count
    return GPU_NAME.fullmatch(word) is not None


def _file_name(gpu: str) -> str:
    return gpu.replace("/", ":")  # older MIG devices are called MIG-GPU-<uuid>/<instance>/<instance>


@contextlib.contextmanager
def folder() -> Iterator[Path]:
    """Yields the folder whose files are locked: that of all users of this machine, or in a Slurm job the job's own.

    The job's folder is removed afterwards; those that killed jobs of this user have left are removed first. Raises
    ClusterError if the job's folder is another user's.
    """
    path, shared = _path(), _shared()
    for abandoned in shared.parent.glob(f"{glob.escape(shared.name)}-*"):
        _remove(abandoned)
    if path == shared:
        yield path
        return
    held = _hold(path)
    try:
        yield path
    finally:
        os.close(held)
        _remove(path)


def _shared() -> Path:
    """Returns the folder of all users of this machine; $OPTATHLON_SLOTS names it where each has a /tmp of her own."""
    return Path(os.environ.get("OPTATHLON_SLOTS") or Path(tempfile.gettempdir()) / FOLDER)


def _path() -> Path:
    # Two Slurm jobs on a node may each be shown a GPU 0, and mean two. With the user, as job ids come again.
    job = f"-{os.environ['SLURM_JOB_ID']}-{os.geteuid()}" if "SLURM_JOB_ID" in os.environ else ""
    return _shared().with_name(f"{_shared().name}{job}")


def _hold(folder: Path) -> int:
    """Makes `folder` if it does not exist; returns a descriptor that keeps it from being removed.

    It is kept for as long as this process, or a child that inherits the descriptor, has it open.
    """
    while True:
        try:
            with contextlib.suppress(FileExistsError):
                folder.mkdir(mode=0o700)
            descriptor = os.open(folder, OPEN_FOLDER)
        except OSError as error:
            if isinstance(error, FileNotFoundError) and folder.parent.is_dir():
                continue  # removed since the line above, as a leftover of a killed start of this job
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
    """Removes a job's folder of slots if it is this user's, holds nothing but locks, and nobody holds it or one of
    them."""
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
    """Takes a free slot that is not among `taken`, those that this process holds; None if there is none. Never waits.

    folder: as yielded by `folder`. at_least: see `names`.
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
    """Returns, by slot, the process that took it, for the held slots whose holder the kernel shows to this process.

    folder: as yielded by `folder`.
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
    """Returns the variables that show a run the slot's GPU and no other."""
    called = {_file_name(gpu): gpu for gpu in visible_gpus()}
    gpu = called.get(slot.removeprefix("gpu-").partition("+")[0])
    return {} if gpu is None else {"CUDA_VISIBLE_DEVICES": gpu}


def _open(path: Path) -> int:
    """Opens for reading, which is enough for a lock and allowed on other users' files in a sticky folder."""
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):
            os.fchmod(descriptor, 0o666)
        return descriptor
