"""What the training loop costs: the suite's update beside a literal loop on the same workload, for every family:
python benchmarks/loop_cost.py --rounds 60

Both have a workload of their own, built from the same seed, and the same optimizer; they take the same batches in turn.
A ratio is the median of the rounds' ratios, with its quartiles; data are fetched before the time begins.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402

from benchmarks.gpu_kit.check import FAMILIES  # noqa: E402
from optathlon import optimizers, tasks  # noqa: E402
from optathlon.suite.identity import Run, Setting, task_of  # noqa: E402
from optathlon.suite.planning.plan import problem_of  # noqa: E402
from optathlon.suite.training.loop import chunks, update  # noqa: E402
from optathlon.suite.training.state import State  # noqa: E402
from optathlon.suite.working.execute import build  # noqa: E402
from optathlon.tasks.data.dataset import build as build_data  # noqa: E402
from optathlon.tasks.workload import Batch, Workload  # noqa: E402

Step = Callable[[Sequence[Batch]], None]


def run_of(task: str, optimizer: str, folder: Path) -> Run:
    """A smoke run of `task` on its miniature."""
    for name in tasks.task(task).datasets:
        build_data(tasks.dataset(name), folder, "miniature")
    described, spec = task_of(task), optimizers.optimizer(optimizer)
    problem = problem_of(described, "smoke", described.protocol("smoke"), folder)
    setting = Setting(optimizer=optimizer, version=spec.version, hyperparameters=spec.resolve({"lr": 1e-4}))
    return Run(problem=problem, setting=setting, seed=0)


def suite_step(run: Run, workload: Workload) -> Step:
    """An update as `optathlon.suite.training.loop.train` makes it."""
    state = State(run, workload)

    def step(parts: Sequence[Batch]) -> None:
        with state.timed_update(parts):
            state.advance(parts, {name: update(state, name, parts) for name in workload.players})

    return step


def literal_step(run: Run, workload: Workload) -> Step:
    """The same update as one writes it for one experiment: nothing is recorded but the sum of the losses."""
    protocol, device = run.protocol, workload.device
    stepped = State(run, workload).optimizers
    averages = [[p.detach().clone() for p in net.parameters()] for net in workload.players.values()]
    total, updates = torch.zeros((), device=device), itertools.count()

    def step(parts: Sequence[Batch]) -> None:
        nonlocal total
        factor = protocol.schedule.factor(float(next(updates)) / 1000, protocol.length) * parts[0].lr_scale
        for name, optimizer in stepped.items():
            for group in optimizer.param_groups:
                group["lr"] = group["initial_lr"] * factor
            for net in workload.players.values():
                net.zero_grad()
            for batch in parts:
                total += _backward(workload, batch, name, protocol.precision, len(parts))
            _clip(workload.players[name], protocol.clip_norm, protocol.clip_value)
            optimizer.step()
        if protocol.ema is not None:
            for average, net in zip(averages, workload.players.values(), strict=True):
                torch._foreach_lerp_(average, list(net.parameters()), 1.0 - protocol.ema)  # pyright: ignore

    return step


def _backward(workload: Workload, batch: Batch, player: str, precision: str, parts: int) -> Tensor:
    with torch.autocast(workload.device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = workload.loss(batch, player) / parts
    loss.backward()
    return loss.detach()


def _clip(net: nn.Module, norm: float | None, value: float | None) -> None:
    if norm is not None:
        nn.utils.clip_grad_norm_(net.parameters(), norm)
    if value is not None:
        nn.utils.clip_grad_value_(net.parameters(), value)


def updates_of(run: Run, workload: Workload) -> Iterator[list[Batch]]:
    """The micro-batches of one update after another, epoch after epoch."""
    for epoch in itertools.count():
        workload.start_epoch(epoch, False)
        yield from chunks(workload.batches(epoch, 0), run.protocol.parts)


def seconds(step: Step, parts: Sequence[Batch], device: torch.device) -> float:
    """Of CPU time on a CPU, which others' load does not count in, else by the clock."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begun = clock()
    step(parts)
    if device.type != "cpu":
        torch.cuda.synchronize()
    return clock() - begun


def measure(task: str, optimizer: str, folder: Path, device: torch.device, rounds: int, warmup: int) -> str:
    """A line of the table: the ratio of the suite's seconds to the literal loop's."""
    run = run_of(task, optimizer, folder)
    workloads = [build(run, folder, device, data_workers=0) for _ in range(2)]
    steps = [suite_step(run, workloads[0]), literal_step(run, workloads[1])]
    fetched = [updates_of(run, workload) for workload in workloads]
    ratios, taken = [], []
    for number in range(warmup + rounds):
        times = [0.0, 0.0]
        for way in (0, 1) if number % 2 else (1, 0):  # in turn, and each as often the first
            times[way] = seconds(steps[way], next(fetched[way]), device)
        if number >= warmup:
            ratios.append(times[0] / times[1])
            taken.append(times[1])
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"| {task} | {1e3 * statistics.median(taken):.1f} ms | {middle:.3f} | {low:.3f} to {high:.3f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=FAMILIES)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| task, smoke, miniature | literal update | suite / literal | quartiles |\n|---|---|---|---|", flush=True)
    for task in options.tasks:
        with tempfile.TemporaryDirectory() as folder:
            device = torch.device(options.device)
            print(measure(task, options.optimizer, Path(folder), device, options.rounds, options.warmup), flush=True)


if __name__ == "__main__":
    main()
