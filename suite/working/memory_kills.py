"""Whether the kernel killed a process for its memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path


def counted_from_now() -> Callable[[], bool]:
    """Returns a function that says whether the kernel has killed a process for its memory since this call."""
    before = oom_kills()
    return lambda: oom_kills() > before


def oom_kills() -> int:
    """Returns how many processes the kernel has killed for their memory: in this process's control group if it has
    one, else on this machine; 0 where neither can be read."""
    for path in (*_memory_groups(), Path("/proc/vmstat")):
        with suppress(OSError, ValueError):
            for line in path.read_text().splitlines():
                if line.startswith("oom_kill "):
                    return int(line.split()[1])
    return 0


def die_first() -> None:
    """Has the kernel, short of memory, kill this process before its parent, which can tell of it."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("500")


def _memory_groups() -> Iterator[Path]:
    """Yields the file in which the control group of this process counts, in version 2 or 1 of them."""
    with suppress(OSError):
        for line in Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if not controllers:
                yield Path(f"/sys/fs/cgroup{path}/memory.events")
            elif "memory" in controllers.split(","):
                yield Path(f"/sys/fs/cgroup/memory{path}/memory.oom_control")
