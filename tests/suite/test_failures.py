"""What an attempt failed by is told from exception types, exit codes and whose code raised; never from luck."""

from __future__ import annotations

import errno
import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from optathlon.optimizers import OptimizerError
from optathlon.results import Store
from optathlon.results.store.files import utc
from optathlon.suite import error_text, failures
from optathlon.suite.identity import Problem, Run, Setting
from optathlon.suite.monitoring import find_run
from optathlon.tasks import DataError
from tests.suite.sweeps import command, environment, optathlon, write
from tests.waiting import wait_for

FAILING = """
import ctypes, errno, os, signal
import torch


class Fails(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)


class Killed(Fails):
    def step(self, closure=None):
        os.kill(os.getpid(), signal.SIGKILL)


class Crashed(Fails):
    def step(self, closure=None):
        ctypes.string_at(0)


class Greedy(Fails):
    def step(self, closure=None):
        torch.empty(1 << 50)


class Full(Fails):
    def step(self, closure=None):
        raise OSError(errno.ENOSPC, "No space left on device")


class Wrong(Fails):
    def step(self, closure=None):
        raise ValueError("wrong on purpose")


class Refusing(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        raise ValueError("takes no such thing")


class Importing(Fails):
    def step(self, closure=None):
        import nowhere_to_be_found
"""
SWEEP = """
name = "failing"
scale = "smoke"
tasks = ["toy:TASK"]
seeds = [0]
"""
EXPECTED = {
    "Killed": ("killed", "killed by SIGKILL"),
    "Crashed": ("crash", "killed by SIGSEGV"),
    "Greedy": ("memory", "RuntimeError: "),
    "Full": ("disk", "OSError: [Errno 28] No space left on device"),
    "Refusing": ("optimizer", "OptimizerError: failing:Refusing: takes no such thing"),
    "Wrong": ("optimizer", "ValueError: wrong on purpose"),
    "Importing": ("import", "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of the toy task by SGD."""
    write(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    from optathlon.suite.identity import optimizer_of, task_of

    task, spec = task_of("toy:TASK"), optimizer_of("sgd")
    problem = Problem(task=task.name, version=1, scale="smoke", data={}, protocol=task.protocol("smoke"))
    return Run(problem=problem, setting=Setting(optimizer="sgd", version=1, hyperparameters=spec.resolve({})), seed=0)


def raised(action):
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def accelerator_error(code):
    error = torch.AcceleratorError("CUDA error: what it was")
    error.error_code = code  # as torch sets it
    return error


def throw(error, cause=None):
    def action():
        raise error from cause

    return raised(action)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB."), "memory"),
        (MemoryError(), "memory"),
        (accelerator_error(2), "memory"),
        (accelerator_error(719), "device"),
        (torch.distributed.DistBackendError("NCCL error in: ProcessGroupNCCL.cpp"), "device"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), "device"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "disk"),
        (OSError(errno.EIO, "Input/output error"), "files"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
        (TimeoutError("no answer"), "timeout"),
        (ModuleNotFoundError("No module named 'x'"), "import"),
        (DataError("mnist: file x is damaged"), "data"),
        (OptimizerError("sgd: Invalid learning rate: -1.0"), "optimizer"),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), "killed"),
    ],
)
def test_a_known_type_decides(error, expected, run):
    assert failures.classify_error(throw(error), run) == expected


def test_the_cause_knows_better_than_what_was_raised_from_it(run):
    lost = throw(OptimizerError("soap: cannot be imported"), ModuleNotFoundError("No module named 'pytorch_optimizer'"))
    assert failures.classify_error(lost, run) == "import"
    refused = throw(OptimizerError("sgd: Invalid learning rate"), ValueError("Invalid learning rate"))
    assert failures.classify_error(refused, run) == "optimizer"


class MuteError(ValueError):
    def __str__(self):
        raise KeyError("nothing to say")


def test_causes_that_go_in_circles_and_errors_that_cannot_be_told_are_classed_all_the_same(run):
    one, other = ValueError("one"), OptimizerError("other")
    one.__cause__, other.__cause__ = other, one
    assert failures.classify_error(one, run) == "optimizer"
    assert failures.classify_error(throw(MuteError()), run) == "bug"
    assert error_text.message_of(MuteError()) == "(its message cannot be read: KeyError)"


def test_what_is_written_down_can_be_stored_and_shown():
    evil = "\x1b[2J\x07 \udc80 \u202e\r\n\tkept: \u00e9 \u4e2d"
    assert error_text.legible(evil) == "\\x1b[2J\\x07 \\udc80 \\u202e\\r\n\tkept: \u00e9 \u4e2d"
    long = error_text.legible(f"begin{'x' * 5_000_000}end")
    assert len(long) <= error_text.REASON
    assert (long.startswith("begin"), long.endswith("end")) == (True, True)
    assert error_text.legible(long) == long


HOSTILE = """
import os, sys
import torch


class Fails(torch.optim.SGD):
    def __init__(self, params, lr=0.1):
        super().__init__(params, lr=lr)


class Leaves(Fails):
    def step(self, closure=None):
        sys.exit(0)


class Interrupts(Fails):
    def step(self, closure=None):
        raise KeyboardInterrupt


class Screams(Fails):
    def step(self, closure=None):
        raise ValueError("\\x1b[2J\\udc80" + "x" * 5_000_000)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("optimizer", "reason"),
    [("Leaves", "SystemExit: 0"), ("Interrupts", "KeyboardInterrupt"), ("Screams", r"ValueError: \x1b[2J\udc80xxx")],
)
def test_a_run_ends_as_failed_whatever_its_code_raises(optimizer, reason, tmp_path):
    (tmp_path / "hostile.py").write_text(HOSTILE)
    write(tmp_path)
    done = optathlon(tmp_path, "run", "toy:TASK", f"hostile:{optimizer}", "--scale", "smoke")
    assert (done.returncode, f"failed: {reason}" in done.stderr) == (1, True), done.stderr
    store = Store(tmp_path / "store")
    (ended,) = store.endings(next(iter(find_run.known(store)))).values()
    assert (ended.kind, ended.failure) == ("failed", "optimizer")
    assert "in step" in ended.trace


def test_memory_that_torch_cannot_have_on_a_cpu_has_no_type_of_its_own(run):
    assert failures.classify_error(raised(lambda: torch.empty(1 << 50)), run) == "memory"


def test_else_the_innermost_code_that_is_somebodys_decides(run, tmp_path):
    import toy

    from optathlon.suite.training import parameter_groups
    from optathlon.suite.working import execute

    parameter = torch.nn.Parameter(torch.ones(2))
    parameter.grad = torch.ones(2)
    assert failures.classify_error(raised(lambda: torch.optim.SGD([parameter], lr="x")), run) == "optimizer"
    workload = execute.build(run, tmp_path, torch.device("cpu"), 0)
    assert failures.classify_error(raised(lambda: workload.loss(None, "model")), run) == "task"
    assert failures.classify_error(raised(lambda: toy.Toy(None, None)), run) == "task"
    assert failures.classify_error(raised(lambda: parameter_groups.groups(None, None, None, None, None)), run) == "bug"
    assert failures.classify_error(raised(lambda: execute.train(run, None, None)), run) == "bug"


def test_a_file_that_a_task_misses_is_missing_data_and_no_broken_file_system(run, tmp_path):
    from optathlon.tasks.data.data_workers import DataWorkers

    nowhere = tmp_path / "nowhere"
    assert (
        failures.classify_error(raised(lambda: list(DataWorkers(0).load(lambda _: nowhere.read_bytes(), [0]))), run)
        == "data"
    )
    assert failures.classify_error(raised(nowhere.read_bytes), run) == "files"


def test_a_process_that_could_not_say_why_is_judged_by_its_end():
    assert failures.classify_exit(-signal.SIGKILL, out_of_memory=True) == "memory"
    assert failures.classify_exit(-signal.SIGKILL, out_of_memory=False) == "killed"
    assert failures.classify_exit(-signal.SIGSEGV, out_of_memory=True) == "crash"
    assert failures.classify_exit(-signal.SIGHUP, out_of_memory=False) == "killed"
    assert failures.classify_exit(1, out_of_memory=False) == "bug"
    assert failures.classify_exit(0, out_of_memory=False) == failures.classify_exit(3, out_of_memory=False) == "crash"


def test_who_reads_a_mapped_file_that_was_cut_short_is_killed_and_the_class_says_so(tmp_path):
    (tmp_path / "mapped").write_bytes(bytes(1 << 16))
    code = "import mmap; f = open('mapped', 'r+b'); m = mmap.mmap(f.fileno(), 0); f.truncate(0); m[-1]"
    end = subprocess.run([sys.executable, "-c", code], check=False, cwd=tmp_path).returncode
    assert failures.classify_exit(end, out_of_memory=False) == "mapped"
    assert "cut short" in failures.known("mapped").what
    assert "optathlon data check" in failures.advice("mapped", "0", ["node-7"])


def test_every_class_has_words_and_advice_that_name_host_and_run():
    for name in failures.CLASSES:
        text = failures.advice(name, "0123456789abcdef", ["node-7"])
        assert "{" not in text
    assert "node-7" in failures.advice("device", "0", ["node-7"])
    assert "micro_batch" in failures.advice("memory", "0")
    assert failures.advice("a class of a later version", "beef").startswith("`optathlon logs beef`")


@pytest.mark.slow
def test_each_way_to_fail_is_told_apart_tried_three_times_and_kept(tmp_path):
    (tmp_path / "failing.py").write_text(FAILING)
    blocks = "".join(f'[[optimizer]]\nname = "failing:{name}"\nlabel = "{name}"\n' for name in EXPECTED)
    blocks += '[[optimizer]]\nname = "sgd"\nlabel = "task"\nfixed.lr = 0.1\nprotocol.settings.crash = true\n'
    write(tmp_path, SWEEP + blocks)
    begun = utc()
    done = optathlon(tmp_path, "launch", "sweep.toml")
    assert done.returncode == 1
    expected = EXPECTED | {"task": ("task", "ZeroDivisionError: ")}
    store = Store(tmp_path / "store")
    for row, (failure, reason) in expected.items():
        name = find_run.run(store, f"toy:TASK/{row}/s0")
        state, endings = store.states([name])[name], store.endings(name)
        assert (state.kind, state.failure) == ("failed", failure), row
        assert state.reason.startswith(reason), row
        assert state.ended >= begun
        assert list(endings) == [1, 2, 3]
        assert all(("Traceback" in ended.trace) == (failure not in ("killed", "crash")) for ended in endings.values())
        told = optathlon(tmp_path, "logs", name)
        assert told.stdout.count(f"on {os.uname().nodename}: failed, with no new checkpoint") == 3
        assert failures.known(failure).what in told.stdout


def removed(group: Path) -> bool:
    """Whether the group could be removed: nobody is in it any more, not even a process that is being ended."""
    try:
        group.rmdir()
    except OSError:
        return False
    return True


@pytest.fixture
def small_group():
    """A control group with 700 MB of memory; entering it is the job of the one who asks."""
    for root, limit in (
        (Path("/sys/fs/cgroup/memory"), "memory.limit_in_bytes"),
        (Path("/sys/fs/cgroup"), "memory.max"),
    ):
        group = root / f"optathlon-{os.getpid()}"
        try:
            group.mkdir()
            (group / limit).write_text(str(700_000_000))
        except OSError:
            continue
        yield group
        wait_for(functools.partial(removed, group))
        return
    pytest.skip("this machine lets nobody here make a control group with a memory limit")


@pytest.mark.slow
def test_a_run_that_the_kernel_kills_for_its_memory_is_out_of_memory_and_its_worker_lives(tmp_path, small_group):
    (tmp_path / "failing.py").write_text(
        "import torch\n\n\nclass Hungry(torch.optim.SGD):\n    def __init__(self, params, lr=0.1):\n"
        "        super().__init__(params, lr=lr)\n\n    def step(self, closure=None):\n        held = []\n"
        "        while True:\n            held.append(torch.ones(1 << 22))\n"
    )
    write(tmp_path, SWEEP + '[[optimizer]]\nname = "failing:Hungry"\n')
    enter = f'echo $$ > {small_group}/cgroup.procs; exec "$@"'
    launch = command("launch", "sweep.toml", "--detach", "--slots", "1")
    subprocess.run(["bash", "-c", enter, "bash", *launch], cwd=tmp_path, env=environment(), check=True)
    store = Store(tmp_path / "store")
    (name,) = (run.id for run in store.plan("failing").runs)
    wait_for(lambda: len(store.endings(name)) == 3)
    assert {(e.failure, e.reason) for e in store.endings(name).values()} == {
        ("memory", "killed by SIGKILL; out of memory")
    }
