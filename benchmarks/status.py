"""How long it takes to see where a large sweep stands: medians over interleaved rounds, as ratios to a bare Python.

    .venv/bin/python benchmarks/status.py [--runs 10000] [--rounds 7]

The sweep is half done: its runs are finished, running, stopped, failed for good or waiting, with all their files. Each
command is a process of its own, from its start to its end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from optathlon.results import Store, this_process
from optathlon.results.plan import Plan, PlannedRun
from optathlon.results.record import Curve, Ended, Identity, Record, Score
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand

SWEEP = """
name = "large"
scale = "paper"
tasks = ["ptb-awd-lstm", "biased-mnist-0.990"]
seeds = {seeds}
[[optimizer]]
name = "adamw"
random = {{trials = {trials}, seed = 1, lr = {{log = [1e-5, 1e-1]}}}}
[[optimizer]]
name = "sgd"
random = {{trials = {trials}, seed = 1, lr = {{log = [1e-5, 1e-1]}}}}
"""
# Of a hundred runs so many are in each state; the rest wait.
MIXTURE = ("finished",) * 50 + ("running",) * 2 + ("stopped",) * 10 + ("failed",) * 5


def half_done(folder: Path, runs: int) -> Path:
    """A store in which the runs of a sweep are in all states; returns the sweep's file."""
    file = folder / "large.toml"
    file.write_text(SWEEP.format(seeds=list(range(10)), trials=runs // 40))
    plan, store = expand(sweep_reader.load(file), folder / "data"), Store(folder / "store")
    for number, run in enumerate(plan.runs):
        state = MIXTURE[number * 37 % 100] if number * 37 % 100 < len(MIXTURE) else "waiting"
        if state == "finished":
            store.commit(_record(plan, run))
        elif state != "waiting":
            _begin(store, run, state)
    store.put_plan(plan, file.read_bytes())
    store.compact()
    return file


def _begin(store: Store, run: PlannedRun, state: str) -> None:
    for number in range(1, 4 if state == "failed" else 2):
        attempt = store.claim(run.id, this_process())
        assert attempt is not None
        log = store.event_log(attempt)
        for update in range(100, 2000, 100):
            log.append({"update": update, "time": update / 1e4, "seconds": update / 10, "evaluating": 0.0})
        log.close()
        if state != "running":
            kind, reason = "stopped", "asked to stop"
            if state == "failed":
                kind, reason = "failed", f"MemoryError: no room for {number} bytes"
            store.end(Ended(run=run.id, number=number, kind=kind, reason=reason, ended="2025-01-31T12:00:00Z"))


def _record(plan: Plan, run: PlannedRun) -> Record:
    score = Score(name="test/perplexity", unit="", higher_is_better=False, value=100.0 + run.seed)
    return Record(
        id=run.id,
        digests=Identity(problem=run.problem, setting=run.setting),
        problem=plan.head.problems[run.problem],
        setting=plan.head.settings[run.setting],
        seed=run.seed,
        status="finished",
        scores=[score],
        headline="test/perplexity",
        selection=None,
        updates=1000,
        curve=Curve(unit="epochs", points={}),
        provenance={"attempt": 1, "clock": {"seconds": 600.0 + run.seed}, "machine": {"device": "NVIDIA A100"}},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=7)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = half_done(folder, args.runs)
        suite = [sys.executable, "-P", "-m", "optathlon"]
        store = ["--store", str(folder / "store"), "--data", str(folder / "data")]
        commands = {
            "bare python": [sys.executable, "-c", "pass"],
            "status": [*suite, "status", "large", *store[:2]],
            "status of all": [*suite, "status", *store[:2]],
            "plan": [*suite, "plan", str(file), *store],
            "plan --budget": [*suite, "plan", str(file), "--budget", "1e6", *store],
        }
        times: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(args.rounds):
            for label, command in commands.items():
                begun = time.perf_counter()
                subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True)
                times[label].append(time.perf_counter() - begun)
    base = statistics.median(times["bare python"])
    for label, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{label}, {args.runs} runs: {median * 1e3:6.0f} ms  {median / base:6.1f} x bare python")


def _environment() -> dict[str, str]:
    """Bytecode is kept, as it is of what is installed."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


if __name__ == "__main__":
    main()
