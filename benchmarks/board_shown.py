"""A leaderboard, as benchmarks/board.py measures it: python benchmarks/board_shown.py STORE"""

from __future__ import annotations

import itertools
import os
import resource
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from optathlon.results import Store, load_results, render


def show(root: Path) -> None:
    """What `optathlon leaderboard` does with the results, ending in its own peak memory in MB and opened files."""
    opened = 0

    def count(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal opened
        if event == "open" and str(arguments[0]).startswith(str(root)):
            opened += not arguments[2] & os.O_DIRECTORY

    sys.addaudithook(count)
    store = Store(root)
    board = load_results(store, store.plan("sweep")).board
    print(render(board))
    for column, row in itertools.product(board.columns, board.rows):
        cell = board.cell(row.name, column.name)
        print(f"{column.name} {row.name} {cell.mean:.9f} {cell.std:.9f} {cell.n}")
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f} {opened}")


if __name__ == "__main__":
    show(Path(sys.argv[1]))
