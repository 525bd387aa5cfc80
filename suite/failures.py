"""Classifies a failed attempt by exception type, exit code and the package that raised, and says what helps."""

from __future__ import annotations

import errno
import re
import signal
import sys
import traceback
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import msgspec

from optathlon.optimizers import OptimizerError
from optathlon.suite.error_text import message_of
from optathlon.suite.errors import FAILED
from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.tasks import DataError, TaskError


@dataclass(frozen=True)
class Failure:
    """A class of failures."""

    what: str
    """The class in words."""
    advice: str
    """What the user can do; {hosts} stands for where it happened, {run} for one run that it happened to."""


class Fault(msgspec.Struct, frozen=True):
    """Why an attempt failed."""

    reason: str
    """The error in a line."""
    trace: str
    """Its traceback."""
    failure: str
    """Its class, a key of CLASSES."""
    asked: bool = False
    """Whether its process had been asked to stop before."""


CLASSES = {
    "memory": Failure(
        "out of memory",
        "give it a device or a job with more memory, or more devices; a smaller micro_batch is another problem",
    ),
    "data": Failure(
        "data missing or corrupt",
        "`optathlon data check` says which files; `optathlon data prepare` makes them anew",
    ),
    "import": Failure("a package is missing", "install it where the workers run ({hosts}), then retry"),
    "optimizer": Failure(
        "the optimizer's own error",
        "correct the optimizer or its settings in the sweep; `optathlon check OPTIMIZER` tries it without a task",
    ),
    "task": Failure(
        "the task's own error",
        "correct the task, or what the sweep changes in its protocol; of an unchanged built-in task, report it",
    ),
    "device": Failure(
        "CUDA or NCCL error",
        "it happened on {hosts}: if only there, keep that node out and retry; if everywhere, the code is at fault",
    ),
    "disk": Failure(
        "disk full or over quota",
        "make room for store and data (`optathlon clean` drops the checkpoints of finished runs), then retry",
    ),
    "files": Failure(
        "files could not be read or written", "see whether store and data can be used on {hosts}, then retry"
    ),
    "timeout": Failure(
        "waited in vain", "something it waited for did not answer on {hosts}; retry, elsewhere if it lasts"
    ),
    "killed": Failure("killed", "by hand, by the scheduler, or for its memory: see the log of {hosts}; then retry"),
    "crash": Failure(
        "crashed in native code", "a library, a driver or the memory of {hosts} is at fault; retry elsewhere"
    ),
    "mapped": Failure(
        "a file was cut short while it was read from memory (SIGBUS)",
        "`optathlon data check` says which file of the data sets it is; a full /dev/shm on {hosts} does it as well",
    ),
    "lost": Failure(
        "died without a word",
        "{hosts} went down, or the whole job was killed, for its memory perhaps: see `optathlon logs {run} --job`",
    ),
    "bug": Failure("a bug of ours", "please report it with the traceback that `optathlon logs {run}` prints"),
}
UNKNOWN = Failure("failed", "`optathlon logs {run}` prints the traceback")
"""For a class that this version does not know: another version's record."""

CUDA_OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
_FULL = (errno.ENOSPC, errno.EDQUOT)
_CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)
# torch raises these as plain RuntimeErrors, so that only the message tells them apart.
_UNTYPED = (
    ("memory", re.compile(r"DefaultCPUAllocator: (can't|not enough)|_STATUS_ALLOC_FAILED|insufficient shared memory")),
    ("killed", re.compile(r"DataLoader worker \(pid.*(killed by signal|exited unexpectedly)")),
    ("timeout", re.compile(r"DataLoader timed out")),
    ("device", re.compile(r"CUDA error|CUDA driver|CU(DNN|BLAS|SPARSE|FFT)_|cuDNN error|NCCL error", re.IGNORECASE)),
)


def known(name: str) -> Failure:
    """Returns the class called `name`, UNKNOWN for a name that this version does not have."""
    return CLASSES.get(name, UNKNOWN)


def advice(name: str, run: str, hosts: Collection[str] = ()) -> str:
    """Returns what helps against failures of class `name` that happened on `hosts`, to `run` among others."""
    return known(name).advice.format(run=run, hosts=", ".join(sorted(hosts)) or "that machine")


def classify_error(error: BaseException, run: Run) -> str:
    """Returns the class of `error`, which was raised while this process carried out `run`."""
    for cause in _causes(error):
        if name := _by_type(cause) or _by_message(cause):
            return name
    return _by_package(error, run)


def classify_exit(code: int, out_of_memory: bool) -> str:
    """Returns the class of a process that ended with exit `code` (negative: by that signal) and reported no error.

    out_of_memory: whether the kernel killed a process for its memory meanwhile.
    """
    if code == -signal.SIGKILL and out_of_memory:
        return "memory"
    if code == -signal.SIGBUS:  # what a page has that lies behind the end of the file mapped there
        return "mapped"
    if code < 0:
        return "crash" if -code in _CRASHES else "killed"
    return "bug" if code == FAILED else "crash"  # a process of ours ends with another code only if a library ends it


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yields what `error` was raised from, then `error`: the first cause is the most specific."""
    chain: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and not any(cause is known for known in chain):  # a chain may be a circle
        chain.append(cause)
        cause = cause.__cause__
    yield from reversed(chain)


def _by_type(error: BaseException) -> str | None:
    if isinstance(error, (MemoryError, *_torch("OutOfMemoryError"))):
        return "memory"
    if isinstance(error, _torch("AcceleratorError")):
        return "memory" if getattr(error, "error_code", None) == CUDA_OUT_OF_MEMORY else "device"
    if isinstance(error, _torch("distributed.DistError")):
        return "device"
    if isinstance(error, ImportError):
        return "import"
    if isinstance(error, DataError):
        return "data"
    if isinstance(error, OptimizerError):
        return "optimizer"
    if isinstance(error, TaskError):
        return "task"
    if isinstance(error, OSError):
        return _by_errno(error)
    return None


def _by_errno(error: OSError) -> str | None:
    if error.errno in _FULL:
        return "disk"
    if error.errno == errno.ENOMEM:
        return "memory"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "data" if isinstance(error, FileNotFoundError) and _is_of(error, "optathlon.tasks") else "files"


def _torch(name: str) -> tuple[type[BaseException], ...]:
    """Returns the exception torch.`name` as a tuple for isinstance; empty where torch is not loaded or lacks it."""
    value: object = sys.modules.get("torch")
    for part in name.split("."):
        value = getattr(value, part, None)
    return (value,) if isinstance(value, type) and issubclass(value, BaseException) else ()


def _by_message(error: BaseException) -> str | None:
    if not isinstance(error, RuntimeError):
        return None
    return next((name for name, words in _UNTYPED if words.search(message_of(error))), None)


def _by_package(error: BaseException, run: Run) -> str:
    """Returns the class by the code that raised `error`: its innermost frame of optimizer, task or this suite."""
    optimizer, task = optimizer_of(run.setting.optimizer), task_of(run.problem.task)
    owners = {
        "optimizer": {"optathlon.optimizers", "torch.optim", _package(optimizer.factory)} - {"torch", "optathlon"},
        "task": {"optathlon.tasks", _package(task.workload)} - {"optathlon"},
        "bug": {"optathlon"},
    }
    modules = _modules(error)
    for module in reversed(modules):
        for name, packages in owners.items():
            if any(f"{module}.".startswith(f"{package}.") for package in packages):
                # What torch raises in our calls (backward, clipping) comes from the task's graph.
                return "task" if name == "bug" and modules[-1].startswith("torch.") else name
    return "bug"


def _package(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _is_of(error: BaseException, package: str) -> bool:
    return any(f"{module}.".startswith(f"{package}.") for module in _modules(error))


def _modules(error: BaseException) -> list[str]:
    """Returns the names of the modules in the traceback of `error`, the innermost last."""
    return [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
