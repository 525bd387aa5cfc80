"""What a torture counts: cases by kind, and every rule that was broken."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


@dataclass
class Tally:
    """Cases by what was done in them, in order; `broken` says which case broke which rule."""

    cases: dict[str, int] = field(default_factory=dict)
    broken: list[str] = field(default_factory=list)

    def add(self, kind: str, case: object, broken: Sequence[str]) -> None:
        self.cases[kind] = self.cases.get(kind, 0) + 1
        self.broken += [f"{kind}, {case}: {rule}" for rule in broken]
        for rule in broken:
            print(f"BROKEN {kind}, {case}: {rule}", file=sys.stderr, flush=True)

    def table(self) -> str:
        rows = [f"| {kind} | {count:,} |" for kind, count in self.cases.items()]
        total = f"| all | {sum(self.cases.values()):,} |"
        return "\n".join(["| what | cases |", "|---|---|", *rows, total])


def sample(calls: int, most: int | None) -> list[int]:
    """All of the calls 1 to `calls`, or `most` of them, evenly spread."""
    if most is None or calls <= most:
        return list(range(1, calls + 1))
    return sorted({1 + number * (calls - 1) // max(1, most - 1) for number in range(max(1, most))})


def in_child(act: Callable[[], int], output: Path) -> tuple[int, int]:
    """What a forked child that does `act` exits with (negative: by a signal), and its pid. What it prints goes to
    `output`."""
    pid = child(act, output)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), pid


def child(act: Callable[[], int], output: Path) -> int:
    """The pid of a forked child that exits with what `act` returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    if pid := os.fork():
        return pid
    code = 1
    try:
        printed = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(printed, 1)
        os.dup2(printed, 2)
        code = act()
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
