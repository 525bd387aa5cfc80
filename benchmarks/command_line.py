"""How long the command line takes: medians over interleaved rounds, as ratios to a bare Python.

    .venv/bin/python benchmarks/command_line.py [--rounds 7]

Launches a finished sweep of 200 runs as well, whose records it makes up, and one of 10,000.
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

from optathlon.results import Store
from optathlon.results.record import Curve, Identity, Record, Score
from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand

SWEEP = """
name = "finished-{runs}"
scale = "paper"
tasks = ["ptb-awd-lstm"]
seeds = {seeds}
[[optimizer]]
name = "adamw"
random = {{trials = {trials}, seed = 1, lr = {{log = [1e-5, 1e-1]}}}}
"""


def finished(folder: Path, runs: int) -> Path:
    """A store in which every run of a sweep has a record."""
    file = folder / f"finished-{runs}.toml"
    file.write_text(SWEEP.format(runs=runs, seeds=list(range(10)), trials=runs // 10))
    plan = expand(sweep_reader.load(file), folder / "data")
    store = Store(folder / f"store-{runs}")
    for planned in plan.runs:
        problem, setting = plan.head.problems[planned.problem], plan.head.settings[planned.setting]
        store.commit(_record(planned, problem, setting))
    store.put_plan(plan, file.read_bytes())
    store.compact()
    return file


def _record(planned, problem, setting) -> Record:
    score = Score(name="test/perplexity", unit="", higher_is_better=False, value=100.0 + planned.seed)
    return Record(
        id=planned.id,
        digests=Identity(problem=planned.problem, setting=planned.setting),
        problem=problem,
        setting=setting,
        seed=planned.seed,
        status="finished",
        scores=[score],
        headline="test/perplexity",
        selection=None,
        updates=1,
        curve=Curve(unit="epochs", points={}),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        suite = [sys.executable, "-P", "-m", "optathlon"]
        commands = {"bare python": [sys.executable, "-c", "pass"], "--help": [*suite, "--help"]}
        commands["list tasks"] = [*suite, "list", "tasks"]
        for runs in (200, 10_000):
            file = finished(folder, runs)
            for verb in ("launch", "status", "leaderboard"):
                what = str(file) if verb != "status" else file.stem
                commands[f"{verb}, {runs} runs done"] = [*suite, verb, what, "--store", str(folder / f"store-{runs}")]
        times: dict[str, list[float]] = {label: [] for label in commands}
        for _ in range(rounds):
            for label, command in commands.items():
                begun = time.perf_counter()
                subprocess.run(command, cwd=folder, env=_environment(), check=True, capture_output=True)
                times[label].append(time.perf_counter() - begun)
    base = statistics.median(times["bare python"])
    for label, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{label:<32} {median * 1e3:8.0f} ms  {median / base:6.1f} x bare python")


def _environment() -> dict[str, str]:
    """Bytecode is kept, as it is of what is installed."""
    kept = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(Path(__file__).resolve().parent.parent)}


if __name__ == "__main__":
    main()
