"""How long it takes to plan, compare and submit a sweep of 10,000 runs to a real Slurm, and to ask where it stands.

    .venv/bin/python benchmarks/launcher.py [--rounds 5] [--workers 256]

Starts a cluster of its own in memory (tests/slurm/real.py, Debian's packages) and submits held jobs to it: medians
over rounds, as ratios to a bare Python. Seen on two cores of an AMD EPYC VM that were busy with other work too, with
256 workers in three arrays, three rounds:

    bare python                    52 ms     1.0 x bare python
    launch --dry-run             1929 ms    37.3 x bare python
    launch, all submitted        1749 ms    33.8 x bare python
    status, all queued            453 ms     8.7 x bare python
    launch again                 1632 ms    31.5 x bare python
    cancel                        506 ms     9.8 x bare python
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "slurm"))

from real import RealSlurm  # noqa: E402

SWEEP = """
name = "large"
scale = "paper"
tasks = ["plain:TASK"]
seeds = {seeds}
[[optimizer]]
name = "adamw"
random = {{trials = 1000, seed = 1, lr = {{log = [1e-5, 1e-1]}}}}
[cluster]
kind = "slurm"
workers = {workers}
sbatch.hold = true
"""
TASK = """
from optathlon.tasks import Metric, Protocol, Task
from optathlon.tasks.schedule import Cosine
PROTOCOL = Protocol(length=1, batch=8, micro_batch=8, schedule=Cosine(per="update"), holdout="none", checkpoint="last")
LOSS = Metric("loss", "nats", False)
TASK = Task(name="plain", benchmark="plain", family="plain", summary="nothing", metrics=(LOSS,),
            protocols={"paper": PROTOCOL}, workload="plain:Nothing")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=256)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/dev/shm") as name:
        slurm = RealSlurm(Path(name))
        slurm.up()
        try:
            (here := Path(name) / "here").mkdir()
            measure(here, slurm, options.rounds, options.workers)
        finally:
            slurm.down()


def measure(folder: Path, slurm: RealSlurm, rounds: int, workers: int) -> None:
    """Print the median of each command."""
    (folder / "sweep.toml").write_text(SWEEP.format(seeds=list(range(10)), workers=workers))
    (folder / "plain.py").write_text(TASK)
    suite = [sys.executable, "-P", "-m", "optathlon"]
    commands = {
        "bare python": [sys.executable, "-c", "pass"],
        "launch --dry-run": [*suite, "launch", "sweep.toml", "--dry-run"],
        "launch, all submitted": [*suite, "launch", "sweep.toml"],
        "status, all queued": [*suite, "status", "large"],
        "launch again": [*suite, "launch", "sweep.toml"],
        "cancel": [*suite, "cancel", "large"],
    }
    environment = {**slurm.environment, "PYTHONPATH": str(ROOT)}
    times: dict[str, list[float]] = {label: [] for label in commands}
    for turn in range(rounds):
        environment["OPTATHLON_STORE"] = str(folder / f"store-{turn}")
        for label, command in commands.items():
            begun = time.perf_counter()
            subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True)
            times[label].append(time.perf_counter() - begun)
        slurm.empty()
    base = statistics.median(times["bare python"])
    for label, seconds in times.items():
        median = statistics.median(seconds)
        print(f"{label:<24} {median * 1e3:8.0f} ms  {median / base:6.1f} x bare python")


if __name__ == "__main__":
    main()
