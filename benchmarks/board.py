"""Time, memory and opened files of a leaderboard as a whole process: python benchmarks/board.py --records 10000

The same numbers by pandas, polars and duckdb stand beside (benchmarks/board_frames.py), from a file with a line of JSON
per record, without curves; with --files also from the record files. A board (benchmarks/board_shown.py) is more than
they compute: it reads the plan, and has states, ranks, tests and notes. And it looks at each record's file, whether it
is still the one that was indexed, without which a board may be of records that are gone; "and looks" are duckdb with a
listing of the store and a look at each file, in the same process. Shares are of the processors' seconds, of runs that
take turns.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import resource
import shutil
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

from benchmarks.board_frames import LIBRARIES  # noqa: E402
from optathlon.results import Store  # noqa: E402
from optathlon.results.plan import Column, Plan, PlanHead, PlannedRun, Row  # noqa: E402
from optathlon.results.record import Curve, Identity, Record, Score  # noqa: E402

LINES = "lines.jsonl"
"""What the other libraries read."""
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
    """A made-up record of `run`, with curves, scores and provenance as a long training leaves them."""
    points: list[tuple[float, float | None]] = [(float(i), chance.random()) for i in range(CURVE_POINTS)]
    scores = [
        Score(name=f"{split}/{name}", unit="%" * (name != "loss"), higher_is_better=name != "loss", value=value)
        for split in ("test", "validation")
        for name, value in (("accuracy", chance.gauss(70, 1)), ("top5", chance.gauss(90, 1)), ("loss", chance.random()))
    ]
    return Record(
        id=run.id,
        digests=Identity(problem=run.problem, setting=run.setting),
        problem=plan.head.problems[run.problem],
        setting=plan.head.settings[run.setting],
        seed=run.seed,
        status="finished",
        scores=scores,
        headline="test/accuracy",
        selection="validation/accuracy",
        updates=1000,
        curve=Curve(unit="epochs", points={"train/loss": points, "validation/accuracy": points}),
        provenance=provenance(chance),
    )


def provenance(chance: random.Random) -> dict[str, Any]:
    seconds = round(chance.uniform(3000, 4000), 3)
    return {
        "attempt": 1,
        "started": "2025-01-01T00:00:00Z",
        "ended": "2025-01-01T01:00:00Z",
        "clock": {"seconds": seconds, "evaluating": round(seconds / 20, 3)},
        "job": None,
        "code": {"version": "0.1.0", "tree": "0" * 16, "commit": "0" * 40},
        "machine": {"host": "node", "cpu": "a", "device": "cuda", "threads": 1, "peak_rss_mb": chance.randrange(9999)},
        "versions": {"python": "3.11.7", "torch": "2.11.0", "cuda": "13.0"},
    }


def build(root: Path, records: int) -> str:
    """A store whose sweep has about `records` runs, each with its record, and its index; returns words about it."""
    plan = sweep(max(1, round(records / (TASKS * OPTIMIZERS * len(TUNE + REPORT)))))
    chance = random.Random(0)
    for run in plan.runs:
        # Without the store's fsync, which would take most of the time here and is not what is measured.
        path = root / "records" / run.id[:2] / f"{run.id}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        record = outcome(plan, run, chance)
        path.write_bytes(msgspec.json.encode(record) + b"\n")
        with (root / LINES).open("ab") as lines:
            lines.write(msgspec.json.encode(without_curve(record)) + b"\n")
    Store(root).put_plan(plan, b"")
    start = time.perf_counter()
    Store(root).compact()
    seconds, size = time.perf_counter() - start, sum(p.stat().st_size for p in (root / "index").iterdir()) / 1e6
    return f"{len(plan.runs)} records, index of {size:.0f} MB made in {seconds:.2f} s"


def without_curve(record: Record) -> Record:
    return msgspec.structs.replace(record, curve=Curve(unit=record.curve.unit, points={}))


class Contender:
    """A command that prints cells, and last its peak memory in MB and perhaps how many files it opened."""

    def __init__(self, name: str, command: list[str]) -> None:
        self.name, self.command = name, command
        self.seconds: list[float] = []
        self.busy: list[float] = []
        """Seconds of processors."""
        self.cells: list[str] = []
        self.last: list[str] = []

    def run(self) -> None:
        """One whole process."""
        start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        command = [sys.executable, *self.command]
        output = subprocess.run(command, capture_output=True, text=True, check=True, env=_environment()).stdout
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        self.seconds.append(time.perf_counter() - start)
        self.busy.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        *lines, last = output.splitlines() or [""]
        self.cells, self.last = sorted(line for line in lines if line.startswith("task-")), last.split()

    def line(self, first: Contender) -> str:
        """Medians, and the ratio of processors' seconds to those of `first`, round by round."""
        ratio = statistics.median(mine / other for mine, other in zip(self.busy, first.busy, strict=False))
        memory, *opened = self.last
        files = f"{opened[0]:>8} files opened" if opened else ""
        seconds, busy = statistics.median(self.seconds), statistics.median(self.busy)
        times = f"{seconds:7.3f} s {busy:7.3f} s of processors, {ratio:5.2f}"
        return f"{self.name:<24} {times} {float(memory):6.0f} MB {files}"


def _environment() -> dict[str, str]:
    """Bytecode is kept, as it is of what is installed."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def take_turns(contenders: list[Contender], repeats: int) -> None:
    """Runs each `repeats` times, in turn, and once before, which reads all files and compiles what is not compiled."""
    for _ in range(repeats + 1):
        for contender in contenders:
            contender.run()
    for contender in contenders:
        del contender.seconds[0], contender.busy[0]


def with_index(root: Path) -> list[Contender]:
    frames, lines = str(Path(__file__).with_name("board_frames.py")), str(root / LINES)
    return [
        _board("optathlon, index", root),
        *(Contender(f"{library}, lines", [frames, library, lines]) for library in LIBRARIES),
        Contender("duckdb, lines and looks", [frames, "duckdb", lines, str(root / "records")]),
    ]


def without_index(root: Path, files: bool) -> list[Contender]:
    """files: also the libraries, of the record files."""
    frames, every = str(Path(__file__).with_name("board_frames.py")), str(root / "records" / "*" / "*.json")
    others = [Contender(f"{library}, files", [frames, library, every]) for library in LIBRARIES if files]
    return [_board("optathlon, files", root), *others]


def _board(name: str, root: Path) -> Contender:
    return Contender(name, [str(Path(__file__).with_name("board_shown.py")), str(root)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--files", action="store_true", help="let the others read the record files, too")
    parser.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.build:
        return print(build(args.build, args.records))
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "store"
        # In a process of its own: what a process is said to have needed at most begins with what its parent has.
        words = [sys.executable, __file__, "--records", str(args.records), "--build", str(root)]
        built = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        print(f"{built}; warm cache, whole processes")
        contenders = with_index(root)
        take_turns(contenders, args.repeats)
        shutil.rmtree(root / "index")
        of_files = without_index(root, args.files)
        take_turns(of_files, 1 if args.files else args.repeats)
        for contender in (*contenders, *of_files):
            if contender.cells != contenders[0].cells:
                sys.exit(f"{contender.name}: other numbers than with the index")
            print(contender.line(contenders[0]).rstrip())
    return None


if __name__ == "__main__":
    main()
