"""What the processor's seconds of a board go to: python benchmarks/board_parts.py STORE [ROUNDS]

Medians over rounds, a process each, of the parts of benchmarks/board_shown.py; what it takes to end is in none of them.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


def parts_of_one(root: Path) -> dict[str, float]:
    """Seconds of the processor per part of a board of the sweep in the store `root`, in this process."""
    marks = {"Python itself": time.process_time()}

    def over(part: str) -> None:
        marks[part] = time.process_time()

    from optathlon.results import Store, leaderboard, render, winners
    from optathlon.results.collector import without_collection

    over("imports without NumPy")
    with without_collection():
        store = Store(root)
        plan = store.plan("sweep")
        over("the plan")
        store._index.parts(brief=True)  # kept for the next line
        over("reading the index")
        records = store.records_by_id([run.id for run in plan.runs], brief=True)
        over("listing the store, and a look at each record's file")
        winners(plan, records)
        over("choosing settings")
        import numpy  # noqa: F401  # pyright: ignore[reportUnusedImport]

        over("importing NumPy")
        board = leaderboard(plan, records)
        over("cells and tests")
    render(board)
    over("text")
    times = list(marks.values())
    seconds = {part: at - before for (part, at), before in zip(marks.items(), [0.0, *times], strict=False)}
    # A board chooses for itself.
    seconds["cells and tests"] -= seconds["choosing settings"]
    return seconds


def main(root: Path, rounds: int) -> None:
    import statistics
    import subprocess

    one = [sys.executable, __file__, str(root), "0"]
    seconds = [json.loads(subprocess.run(one, stdout=subprocess.PIPE, check=True).stdout) for _ in range(rounds)]
    for part in seconds[0]:
        print(f"{statistics.median(of_round[part] for of_round in seconds):6.3f} s  {part}")


if __name__ == "__main__":
    store, count = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 5
    if count:
        main(store, count)
    else:
        print(json.dumps(parts_of_one(store)))
