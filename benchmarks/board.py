"""Time and memory of a leaderboard as a whole process: python benchmarks/board.py --records 10000"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

from results import Store, leaderboard, render  # noqa: E402
from results.record import Column, Curve, Identity, Plan, PlanHead, PlannedRun, Record, Row, Score  # noqa: E402

TASKS, OPTIMIZERS, TUNE, REPORT, CURVE_POINTS = 14, 12, (0,), (10, 11, 12), 100


def digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()


def problems() -> list[dict[str, Any]]:
    protocol = {"length": 200, "unit": "epochs", "batch": 128, "schedule": {"kind": "cosine"}, "precision": "bf16"}
    return [
        {"task": f"task-{n}", "version": 1, "scale": "paper", "data": {"data": "official"}, "protocol": protocol}
        for n in range(TASKS)
    ]


def settings(count: int) -> dict[str, list[dict[str, Any]]]:
    """`count` settings of each optimizer."""
    base = {"momentum": 0.9, "weight_decay": 1e-4, "eps": 1e-8, "betas": [0.9, 0.999]}
    common = {"version": 1, "protocol": {}, "probes": []}
    return {
        name: [{"optimizer": name, "hyperparameters": base | {"lr": 10.0**-i}, **common} for i in range(count)]
        for name in (f"optimizer-{n}" for n in range(OPTIMIZERS))
    }


def sweep(per_cell: int) -> Plan:
    """A plan with `per_cell` settings in each cell."""
    rows = settings(per_cell)
    columns = [
        Column(
            name=problem["task"],
            label=problem["task"],
            problem=digest(problem),
            metric="test/accuracy",
            unit="%",
            higher_is_better=True,
            selection="validation/accuracy",
            selection_higher_is_better=True,
        )
        for problem in problems()
    ]
    digests = {row: [digest(setting) for setting in candidates] for row, candidates in rows.items()}
    runs = [
        PlannedRun(
            id=digest([column.problem, setting, seed])[:16],
            problem=column.problem,
            setting=setting,
            seed=seed,
            role="tune" if seed in TUNE else "report",
            row=row,
            column=column.name,
        )
        for column, (row, candidates) in itertools.product(columns, digests.items())
        for setting, seed in itertools.product(candidates, TUNE + REPORT)
    ]
    head = PlanHead(
        name="sweep",
        scale="paper",
        created="",
        digest=str(per_cell),
        baseline="optimizer-0",
        columns=columns,
        rows=[Row(name=row, optimizer=row) for row in rows],
        problems={digest(problem): problem for problem in problems()},
        settings={digest(setting): setting for candidates in rows.values() for setting in candidates},
    )
    return Plan(head=head, runs=runs)


def outcome(plan: Plan, run: PlannedRun, chance: random.Random) -> Record:
    """A made-up record of `run`, with curves as a long training leaves them."""
    points: list[tuple[float, float | None]] = [(float(i), chance.random()) for i in range(CURVE_POINTS)]
    code = {"tree": "0" * 16, "version": "0.1.0", "commit": "0" * 40}
    return Record(
        id=run.id,
        digests=Identity(problem=run.problem, setting=run.setting),
        problem=plan.head.problems[run.problem],
        setting=plan.head.settings[run.setting],
        seed=run.seed,
        status="finished",
        scores=[
            Score(name=f"{split}/accuracy", unit="%", higher_is_better=True, value=chance.gauss(70, 1))
            for split in ("test", "validation")
        ],
        headline="test/accuracy",
        selection="validation/accuracy",
        updates=1000,
        curve=Curve(unit="epochs", points={"train/loss": points, "validation/accuracy": points}),
        provenance={"attempt": 1, "clock": {"seconds": 3600.0}, "code": code},
    )


def build(root: Path, records: int) -> int:
    """A store whose sweep has about `records` runs, each with its record; returns how many."""
    plan = sweep(max(1, round(records / (TASKS * OPTIMIZERS * len(TUNE + REPORT)))))
    chance = random.Random(0)
    for run in plan.runs:
        # Without the store's fsync, which would take most of the time here and is not what is measured.
        path = root / "records" / run.id[:2] / f"{run.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(msgspec.json.encode(outcome(plan, run, chance)) + b"\n")
    Store(root).put_plan(plan, b"")
    return len(plan.runs)


def show(root: Path) -> None:
    """What `optathlon leaderboard` does with the results, ending in its own peak memory in MB."""
    store = Store(root)
    plan = store.plan("sweep")
    ids = [run.id for run in plan.runs]
    board = leaderboard(plan, store.records(ids), store.states(ids))
    print(render(board))
    print(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.1f}")


def measure(root: Path, repeats: int) -> tuple[float, float, str]:
    """Median seconds of a whole process, its peak memory in MB, and what it printed."""
    seconds, output = [], ""
    for _ in range(repeats):
        start = time.perf_counter()
        output = subprocess.run(
            [sys.executable, __file__, "--show", str(root)], capture_output=True, text=True, check=True
        ).stdout
        seconds.append(time.perf_counter() - start)
    board, _, memory = output.rstrip().rpartition("\n")
    return statistics.median(seconds), float(memory), board


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--show", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.show:
        return show(given.show)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        count = build(root, given.records)
        bare = time.perf_counter()
        subprocess.run([sys.executable, "-c", "pass"], check=True)
        bare = time.perf_counter() - bare
        without, memory_without, board = measure(root, given.repeats)
        start = time.perf_counter()
        Store(root).compact()
        compaction = time.perf_counter() - start
        within, memory_within, same = measure(root, given.repeats)
        if same != board:
            sys.exit("the index changed the board")
        size = os.path.getsize(root / "index.jsonl") / 1e6
    print(f"{count} records, warm cache, whole process (a bare interpreter takes {bare:.3f} s)")
    print(f"without index  {without:.3f} s  {memory_without:.0f} MB")
    print(f"with index     {within:.3f} s  {memory_within:.0f} MB  ({size:.1f} MB, made in {compaction:.2f} s)")
    print(f"ratio          {without / within:.1f}")
    return None


if __name__ == "__main__":
    main()
