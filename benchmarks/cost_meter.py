"""What measuring the cost of a run costs: the meter's own time per update beside updates of real runs:
python benchmarks/cost_meter.py

On a GPU: python benchmarks/cost_meter.py --device cuda"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from optathlon import optimizers, tasks  # noqa: E402
from optathlon.results import Store, this_process  # noqa: E402
from optathlon.suite.identity import Run, Setting, task_of  # noqa: E402
from optathlon.suite.planning.plan import problem_of  # noqa: E402
from optathlon.suite.training.cost import CostMeter  # noqa: E402
from optathlon.suite.training.update_timer import TIMED_EVERY  # noqa: E402
from optathlon.suite.working.execute import execute  # noqa: E402
from optathlon.tasks.data.dataset import build  # noqa: E402


def metering(device: torch.device, updates: int) -> float:
    """Seconds that the meter takes per update, of a step in which nothing else happens."""
    timer = CostMeter(device).timer
    begun = time.perf_counter()
    for _ in range(updates):
        with timer.update(1):
            with timer.optimizer(False):
                pass
            with timer.optimizer():
                pass
    return (time.perf_counter() - begun) / updates


def update(task: str, optimizer: str, device: torch.device, folder: Path) -> float:
    """Seconds per update of a smoke run on the miniature, as its record says."""
    for name in tasks.task(task).datasets:
        build(tasks.dataset(name), folder, "miniature")
    described, spec = task_of(task), optimizers.optimizer(optimizer)
    values = spec.resolve({"lr": 1e-3})
    problem = problem_of(described, "smoke", described.protocol("smoke").override({"length": 2}), folder)
    setting = Setting(optimizer=optimizer, version=spec.version, hyperparameters=values)
    run = Run(problem=problem, setting=setting, seed=0)
    store = Store(folder / "store")
    attempt = store.claim(run.id, this_process())
    assert attempt is not None
    ended = execute(store, run, attempt, folder, stop=lambda: False, device=device, say=lambda _: None)
    record = store.record(run.id)
    assert record is not None, ended.trace
    return record.provenance["cost"]["seconds_per_update"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--tasks", nargs="+", default=["biased-mnist-0.990", "ptb-awd-lstm"])
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    torch.set_num_threads(1)
    device = torch.device(options.device)
    metering(device, 1000)
    rounds = sorted(metering(device, 200 * TIMED_EVERY) for _ in range(options.rounds))
    spent = statistics.median(rounds)
    print(f"the meter: {spent * 1e6:.2f} us an update ({rounds[0] * 1e6:.2f} to {rounds[-1] * 1e6:.2f})")
    for task in options.tasks:
        with tempfile.TemporaryDirectory() as folder:
            seconds = update(task, options.optimizer, device, Path(folder))
        print(f"{task}: {seconds * 1e3:.2f} ms an update, of it the meter {spent / seconds:.3%}")


if __name__ == "__main__":
    main()
