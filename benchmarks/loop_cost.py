"""What the training loop costs: the suite's update beside a literal loop on the same workload, for every family:
python benchmarks/loop_cost.py --rounds 60

Both have a workload of their own, built from the same seed, and the same optimizer; they take the same batches in turn.
A ratio is the median of the rounds' ratios, with its quartiles; data are fetched before the time begins. With --no-op
the loss is the sum of one weight: what is left is what the loops themselves take, in microseconds, with the calls of
torch's dispatcher.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402
from torch import Tensor, nn  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from benchmarks.gpu_kit.parts import FAMILIES  # noqa: E402
from optathlon import optimizers, tasks  # noqa: E402
from optathlon.suite.identity import Run, Setting, task_of  # noqa: E402
from optathlon.suite.planning.plan import problem_of  # noqa: E402
from optathlon.suite.training.checkpoint import Checkpoints  # noqa: E402
from optathlon.suite.training.loop import chunks, update  # noqa: E402
from optathlon.suite.training.saver import Saver  # noqa: E402
from optathlon.suite.training.state import State  # noqa: E402
from optathlon.suite.training.surroundings import Surroundings  # noqa: E402
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


def suite_step(run: Run, workload: Workload, folder: Path) -> Step:
    """An update as `optathlon.suite.training.loop.train` makes it, with the look for signals and the clock after it."""
    state = State(run, workload)
    saver = Saver(state, Surroundings(Checkpoints(folder, run.id, print)))
    saver.interval = math.inf  # no checkpoint is written meanwhile: how often is no matter of updates

    def step(parts: Sequence[Batch]) -> None:
        with state.timed_update(parts):
            state.advance(parts, {name: update(state, name, parts) for name in workload.players})
        saver.save_when_due()

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
            for each in stepped.values():  # a loss may reach all networks
                each.zero_grad()
            for batch in parts:
                total += _backward(workload, batch, name, protocol.precision, len(parts))
            _clip(workload.players[name], protocol.clip_norm, protocol.clip_value)
            optimizer.step()
        if protocol.ema is not None:
            for average, net in zip(averages, workload.players.values(), strict=True):
                torch._foreach_lerp_(average, list(net.parameters()), 1.0 - protocol.ema)  # pyright: ignore

    return step


def _backward(workload: Workload, batch: Batch, player: str, precision: str, parts: int) -> Tensor:
    bf16 = torch.autocast(workload.device.type, dtype=torch.bfloat16)
    with bf16 if precision == "bf16" else contextlib.nullcontext():
        loss = workload.loss(batch, player)
    if parts > 1:
        loss = loss / parts
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
        yield from chunks(workload.batches(epoch, 0), run.protocol.micro_batches)


def seconds(action: Callable[[], object], device: torch.device) -> float:
    """Of CPU time on a CPU, which others' load does not count in, else by the clock."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    begun = clock()
    action()
    if device.type != "cpu":
        torch.cuda.synchronize()
    return clock() - begun


def beside(task: str, optimizer: str, folder: Path, device: torch.device) -> tuple[Run, list[Workload], list[Step]]:
    """The run, and for the suite's loop and the literal one a workload each and its step."""
    run = run_of(task, optimizer, folder)
    workloads = [build(run, folder, device, data_workers=0) for _ in range(2)]
    return run, workloads, [suite_step(run, workloads[0], folder), literal_step(run, workloads[1])]


def measure(task: str, optimizer: str, folder: Path, device: torch.device, rounds: int, warmup: int) -> str:
    """A line of the table: the ratio of the suite's seconds to the literal loop's."""
    run, workloads, steps = beside(task, optimizer, folder, device)
    fetched = [updates_of(run, workload) for workload in workloads]
    ratios, taken = [], []
    for number in range(warmup + rounds):
        times = [0.0, 0.0]
        for way in (0, 1) if number % 2 else (1, 0):  # in turn, and each as often the first
            times[way] = seconds(partial(steps[way], next(fetched[way])), device)
        if number >= warmup:
            ratios.append(times[0] / times[1])
            taken.append(times[1])
    low, middle, high = statistics.quantiles(ratios, n=4)
    return f"| {task} | {1e3 * statistics.median(taken):.1f} ms | {middle:.3f} | {low:.3f} to {high:.3f} |"


class Calls(TorchDispatchMode):
    """Counts the calls of torch's dispatcher."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


def measure_alone(task: str, optimizer: str, folder: Path, device: torch.device, rounds: int, warmup: int) -> str:
    """A line of the table: what the loops themselves take, and calls of torch, where there is nothing to compute."""
    run, workloads, steps = beside(task, optimizer, folder, device)
    for workload in workloads:
        weights = {name: next(net.parameters()) for name, net in workload.players.items()}
        workload.loss = lambda batch, player, weights=weights: weights[player].sum()  # pyright: ignore
    parts = [Batch(None, index, 10**9, 1) for index in range(run.protocol.micro_batches)]
    taken: tuple[list[float], list[float]] = ([], [])
    for number in range(warmup + rounds):
        for way in (0, 1) if number % 2 else (1, 0):
            microseconds = 1e6 * seconds(lambda step=steps[way]: [step(parts) for _ in range(7)], device) / 7
            if number >= warmup:
                taken[way].append(microseconds)
    counts = []
    for step in steps:
        with Calls() as calls:
            step(parts)
        counts.append(calls.count)
    medians = [f"{statistics.median(ways):.0f} ({min(ways):.0f}) µs" for ways in taken]
    return f"| {task} | {medians[0]}, {counts[0]} | {medians[1]}, {counts[1]} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", nargs="+", default=FAMILIES)
    parser.add_argument("--optimizer", default="adamw")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--warmup", type=int, default=5)
    parser.add_argument("--no-op", action="store_true", help="only what the loops themselves take")
    options = parser.parse_args()
    torch.set_num_threads(1)
    columns = ["task, smoke, miniature", "literal update", "suite / literal", "quartiles"]
    if options.no_op:
        columns = ["task's optimizer, no network", "suite: median (least), calls", "literal: median (least), calls"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|", flush=True)
    line = measure_alone if options.no_op else measure
    for task in options.tasks:
        with tempfile.TemporaryDirectory() as folder:
            device = torch.device(options.device)
            print(line(task, options.optimizer, Path(folder), device, options.rounds, options.warmup), flush=True)


if __name__ == "__main__":
    main()
