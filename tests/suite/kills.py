"""Kills one run of a real benchmark in a process of its own, again and again, and compares what becomes of it.

python kills.py TASK DATA: imports torch once and forks a child for each attempt; prints one line a case.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sys
import tempfile
from pathlib import Path

import torch
import torch._dynamo  # every optimizer wants it: imported once, not in every child

from optathlon.results import Store, this_process
from optathlon.results.record import Record
from optathlon.slurm.signals import PREEMPTED
from optathlon.suite.identity import Run, Setting, optimizer_of, task_of
from optathlon.suite.planning.plan import problem_of
from optathlon.suite.training.surroundings import CHECKPOINT_SECONDS
from optathlon.suite.working.execute import execute
from optathlon.suite.working.exit_codes import exit_code_of
from optathlon.suite.working.signals import stop_flag
from optathlon.tasks.registry import resolve

SMALL = {
    "biased-mnist-0.990": {
        "length": 3,
        "evaluate_every": 1,
        "settings": {"train_images": 160, "test_images": 40, "channels": [4, 4, 4, 4], "kernel_f": 3},
    },
    "ptb-awd-lstm": {
        "length": 3,
        "settings": {"emsize": 8, "nhid": 12, "vocabulary": 50, "train_tokens": 3000, "evaluation_tokens": 500},
    },
    "speech-commands": {
        "length": 3,
        "settings": {"channels": 2, "words": 3, "training_clips": 10, "evaluation_clips": 2, "dropout": 0.5},
    },
    "wikitext103-txl-wn": {
        "length": 12,
        "evaluate_every": 4,
        "batch": 4,
        "micro_batch": 2,
        "settings": {"n_layer": 2, "d_model": 8, "n_head": 2, "d_head": 4, "d_inner": 8, "dropout": 0.1, "tgt_len": 8}
        | {"mem_len": 8, "train_tokens": 3000, "evaluation_tokens": 600},
    },
    "wikitext103-llama": {
        "length": 12,
        "evaluate_every": 4,
        "settings": {"hidden": 8, "heads": 2, "intermediate": 8, "layers": 1, "vocabulary": 300, "context": 16}
        | {"train_tokens": 3000, "evaluation_tokens": 600},
    },
    "cub-proxyanchor": {
        "length": 3,
        "batch": 20,
        "settings": {"channels": [4, 8], "embedding": 8, "resize": 20, "crop": 16}
        | {"training_classes": 12, "evaluation_classes": 4},
    },
}
OPTIMIZERS = {"sgd": {"lr": 0.05, "momentum": 0.9}, "adamw": {"lr": 2e-3}, "adamp": {"lr": 2e-3}}
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGUSR2)


def run_of(task: str, optimizer: str, data: Path) -> Run:
    described, spec = task_of(task), optimizer_of(optimizer)
    problem = problem_of(described, "smoke", described.protocol("smoke").override(SMALL[task]), data)
    values = spec.resolve(OPTIMIZERS[optimizer])
    return Run(
        problem=problem, setting=Setting(optimizer=optimizer, version=spec.version, hyperparameters=values), seed=3
    )


def attempt(run: Run, store: Store, data: Path, workers: int, kill: tuple[int, signal.Signals] | None) -> int:
    """One attempt in a forked child that sends itself a signal after so many looks at its stop flag; its exit code."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    code = 1
    try:
        torch.set_num_threads(1)
        with stop_flag() as flag:
            looks = itertools.count(1)

            def stop() -> bool:
                if kill and next(looks) == kill[0]:
                    os.kill(os.getpid(), kill[1])
                return flag()

            claimed = store.claim(run.id, this_process())
            assert claimed is not None, "the run was not free"
            device = torch.device("cpu")
            ended = execute(
                store, run, claimed, data, stop=stop, device=device, data_workers=workers, say=lambda _: None
            )
            print(ended.trace, end="", file=sys.stderr)
            code = exit_code_of(ended.kind)
    finally:
        os._exit(code)


def outcome(record: Record | None) -> str:
    assert record is not None
    return json.dumps({k: getattr(record, k) for k in ("id", "status", "weights", "updates")}) + repr(
        (record.scores, record.curve)
    )


def main(task: str, data: Path) -> None:
    chance = random.Random(task)
    resolve(task_of(task).workload)
    for first, optimizer in enumerate(OPTIMIZERS):
        run = run_of(task, optimizer, data)
        with tempfile.TemporaryDirectory() as folder:
            store = Store(Path(folder))
            os.environ[CHECKPOINT_SECONDS] = "600"
            assert attempt(run, store, data, 0, None) == 0
            record = store.record(run.id)
            expected, updates = outcome(record), record.updates if record else 0
        epoch = updates // 3
        # Each optimizer meets each signal and each number of data workers, and of their pairs a third: a Latin square.
        for case, number in enumerate(SIGNALS):
            workers = (first + case) % 3
            looks = [1, epoch + case % 2, chance.randint(2, updates - 1), updates - 1][(first + case) % 4 :][:2]
            with tempfile.TemporaryDirectory() as folder:
                store = Store(Path(folder))
                os.environ[CHECKPOINT_SECONDS] = chance.choice(("0", "0.05"))
                codes = [attempt(run, store, data, (workers + i) % 3, (at, number)) for i, at in enumerate(looks)]
                codes.append(attempt(run, store, data, workers, None))
                assert codes[0] == (-9 if number == signal.SIGKILL else PREEMPTED), codes
                assert codes[-1] in (0, 1), codes
                assert outcome(store.record(run.id)) == expected, (task, optimizer, workers, number, looks)
                print(f"{task} {optimizer} workers={workers} {number.name} at {looks}: the same")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
