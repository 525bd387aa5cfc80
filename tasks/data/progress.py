"""How far a long preparation is, told on the standard error stream now and then."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")
SECONDS = 5.0


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def counted(
    items: Iterable[Item],
    total: int,
    label: str,
    done: int = 0,
    tell: Callable[[str], None] = _tell,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Item]:
    """The `items`, and a line every SECONDS: "{what}: 4,200 of 21,108, about 12 minutes left".

    done: how many of the `total` were there before. What is done within SECONDS is not told of.
    """
    start = last = clock()
    number = done
    for number, item in enumerate(items, start=done + 1):
        yield item
        now = clock()
        if now - last >= SECONDS:
            last = now
            tell(f"{label}: {number:,} of {total:,}, {_remaining((now - start) / (number - done) * (total - number))}")
    if last > start:
        tell(f"{label}: {number:,} of {total:,}, done in {clock() - start:.0f} seconds")


def _remaining(seconds: float) -> str:
    return f"about {seconds / 60:.0f} minutes left" if seconds >= 90 else f"about {seconds:.0f} seconds left"
