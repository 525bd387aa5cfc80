"""A disk that is really full, at every size short of what is needed: a small file system in memory.

Needs the right to mount. Unlike the errors of shim.c it takes half a write, and strikes what is written through a
mapping.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from optathlon import tasks
from optathlon.results import Store
from optathlon.suite.errors import OK
from optathlon.suite.identity import Run
from optathlon.suite.main import main
from optathlon.suite.working.exit_codes import BUSY, REFUSED
from optathlon.tasks.data.dataset import check
from tests.torture import data_sets, stores
from tests.torture.runs import Torture
from tests.torture.tally import Tally, in_child, sample

PAGE = 4096
ROOMY = 1 << 14
"""Pages; more than anything here needs."""

MS_REMOUNT, MNT_DETACH = 32, 2  # sys/mount.h


def torture(run: Run, folder: Path, tally: Tally, most: int | None) -> None:
    """A run, what a store does, data sets and a board that is handed out, each on disks of every size too small."""
    if not may_mount(folder / "disk"):
        print("nobody here may mount a file system: no disk is filled")
        return
    _runs(Torture(run, folder), tally, most)
    _operations(folder, tally, most)
    _data_sets(folder, tally, most)
    _boards(folder, tally, most)


def may_mount(folder: Path) -> bool:
    try:
        with disk(folder):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def disk(folder: Path) -> Iterator[None]:
    """A file system of its own at `folder` while the block runs."""
    folder.mkdir(parents=True, exist_ok=True)
    _mount(folder, 0, ROOMY)
    try:
        yield
    finally:
        ctypes.CDLL(None).umount2(os.fsencode(folder), MNT_DETACH)


def leave(folder: Path, pages: int) -> None:
    """From now on the file system at `folder` has room for so many more pages."""
    _mount(folder, MS_REMOUNT, used(folder) + pages)


def used(folder: Path) -> int:
    state = os.statvfs(folder)
    return state.f_blocks - state.f_bfree


def _mount(folder: Path, flags: int, pages: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    size = f"size={max(1, pages) * PAGE}".encode()  # a size of 0 would be none
    if libc.mount(b"none", os.fsencode(folder), b"tmpfs", ctypes.c_ulong(flags), size):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(folder))


def _runs(tortured: Torture, tally: Tally, most: int | None) -> None:
    root = tortured.folder / "store"
    tortured.clear()
    with disk(root):
        assert tortured.attempt(None) == OK
        needed = 2 * used(root)  # of checkpoints and best weights there is one more while it is written
    for pages in sample(needed, most):
        tortured.clear()
        with disk(root):
            leave(root, pages)
            code = tortured.attempt(None)
            broken = [] if code in (OK, 1, BUSY, REFUSED) else [f"ended with {code}"]
            if code in (1, REFUSED) and "No space left" not in _printed(tortured):
                broken.append(f"ended with {code}, and nobody said that the disk is full: {_printed(tortured)[-500:]}")
            leave(root, ROOMY)
            broken += tortured.go_on()
        tally.add("a run on a disk that is too small, then on a larger one", f"{pages} pages", broken)


def _printed(tortured: Torture) -> str:
    work = tortured.folder / "store" / "work"
    files = [tortured.output, *work.rglob("log-*.txt"), *work.rglob("ended-*.json")]
    return "".join(path.read_text(errors="replace") for path in files if path.exists())


def _operations(folder: Path, tally: Tally, most: int | None) -> None:
    for name, operation in stores.OPERATIONS.items():
        expected, needed = _whole(folder, operation)
        for pages in sample(needed, most):
            with disk(folder / "store"):
                stores.fresh(folder)
                broken = stores.twice(
                    folder,
                    operation,
                    expected,
                    lambda pages=pages: leave(folder / "store", pages - 1),
                    lambda: leave(folder / "store", ROOMY),
                )
            tally.add(f"{name}, on a disk that is too small", f"{pages - 1} pages", broken)


def _whole(folder: Path, operation: Callable[[Store], object]) -> tuple[dict, int]:
    """What a store holds after an operation, and how many pages that could have taken."""
    with disk(folder / "store"):
        stores.fresh(folder)
        before = used(folder / "store")
        assert stores.operate(folder, operation, None)[0] == 0
        return stores.contents(folder / "store"), max(4, 2 * (used(folder / "store") - before))


def _data_sets(folder: Path, tally: Tally, most: int | None) -> None:
    for name in data_sets.NAMES:
        shutil.rmtree(folder / "data", ignore_errors=True)
        with disk(folder / "data"):
            assert data_sets.make(folder, name, None) == 0
            expected, needed = data_sets.digest(folder / "data"), 2 * used(folder / "data")
        for pages in sample(needed, most or 200):
            (folder / "output").unlink(missing_ok=True)
            with disk(folder / "data"):
                leave(folder / "data", pages)
                broken = data_sets.twice(folder, name, None, expected, lambda: leave(folder / "data", ROOMY))
                check(tasks.dataset(name), folder / "data")
            tally.add(f"data prepare of {name} on a disk that is too small", f"{pages} pages", broken)


def _boards(folder: Path, tally: Tally, most: int | None) -> None:
    """A file that a user asked for is there whole, or as it was before."""
    with disk(folder / "disk"):
        stores.fresh(folder)
        file = folder / "disk" / "file"
        for words in (["leaderboard", "--output"], ["report", "--output"], ["export", "--parquet"]):
            leave(folder / "disk", ROOMY)
            code, printed = _said(folder, [*words, str(file)])
            assert code == OK, printed
            needed = used(folder / "disk")
            file.write_bytes(b"old")
            for pages in range(min(needed, most or needed)):
                leave(folder / "disk", pages)
                code, printed = _said(folder, [*words, str(file)])
                told = code == 4 and "No space left" in printed and "Traceback" not in printed
                broken = [] if told else [f"ended with {code}: {printed[-800:]}"]
                if file.read_bytes() != b"old" or len(list((folder / "disk").iterdir())) > 1:
                    broken.append("the file is torn, or something beside it was left")
                tally.add(f"`{' '.join(words)}` to a disk that is too small", f"{pages} pages", broken)


def _said(folder: Path, words: list[str]) -> tuple[int, str]:
    (folder / "output").unlink(missing_ok=True)
    code, _ = in_child(lambda: main([*words, "--store", str(folder / "store")]), folder / "output")
    return code, (folder / "output").read_text(errors="replace")
