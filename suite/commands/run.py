"""Train one task with one optimizer, here and now: optathlon run ptb-awd-lstm adamw lr=2e-3 protocol.length=2
--scale smoke."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import msgspec

from optathlon import tasks
from optathlon.results import Store
from optathlon.results.record import Ended, Record
from optathlon.slurm import slots
from optathlon.slurm.signals import PREEMPTED
from optathlon.suite import failures
from optathlon.suite.commands.launch import not_negative
from optathlon.suite.commands.shared.described_run import Words, described_run
from optathlon.suite.console import (
    add_data,
    add_implementation,
    add_json,
    add_network_options,
    add_store,
    network_options,
    print_json,
    say,
    show,
    table,
)
from optathlon.suite.error_text import shortened
from optathlon.suite.errors import ENVIRONMENT, FAILED, INTERRUPTED, OK, MachineError, UsageError
from optathlon.suite.identity import Run, optimizer_of, task_of
from optathlon.suite.probes import PROBES
from optathlon.suite.training.place import Place, environment, unshareable
from optathlon.suite.user_modules import look_beside
from optathlon.suite.working import references


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("task")
    parser.add_argument("optimizer")
    parser.add_argument(
        "values", nargs="*", metavar="KEY=VALUE", help="hyperparameters (lr=1e-3, gain.projection=off) and protocol.*"
    )
    parser.add_argument("--scale", choices=tasks.SCALES, default="paper")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--probe",
        action="append",
        default=[],
        metavar="NAME",
        help=f"measure more (repeatable): {', '.join(PROBES)}",
    )
    add_execution(parser)
    add_store(parser)
    add_data(parser)
    add_json(parser)


def add_execution(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--data-workers", type=not_negative, default=0, help="processes that load data ahead")
    add_implementation(parser)
    add_network_options(parser)
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="train on N processes of this machine, a GPU each"
    )


def main(args: argparse.Namespace) -> int:
    look_beside(Path.cwd())
    run, store = _run(args), Store(args.store)
    tasks.require(task_of(args.task), run.protocol, args.data)
    place = environment()
    check_processes(args, run, place)
    if place is not None:
        code = train(args, run, store, place)
        return code if code or place.rank else _show(args, run, store)
    if store.record(run.id) is None:
        say(f"{run.label}: run {run.id} in {args.store}")
        if code := train(args, run, store, None):
            return code
    else:
        say(f"{run.label}: run {run.id} was done before")
        references.ensure(store, run.problem, args.data, say)
    return _show(args, run, store)


def check_processes(args: argparse.Namespace, run: Run, place: Place | None) -> None:
    """UsageError or MachineError if `run` cannot be trained on that many processes, here or at `place`."""
    if args.processes < 1:
        raise UsageError(f"--processes {args.processes}: must be 1 or more")
    if place is not None and args.processes > 1:
        raise UsageError(f"--processes {args.processes}: {place.world} processes are started already; leave it out")
    if why := unshareable(run.protocol, args.processes if place is None else place.world):
        raise UsageError(why)
    if place is not None or args.processes == 1 or args.device == "cpu":
        return
    gpus = len(slots.visible_gpus())
    if gpus < args.processes and (gpus or args.device == "cuda"):
        raise MachineError(f"--processes {args.processes}: each takes a GPU, here are {gpus}; or take --device cpu")


def _show(args: argparse.Namespace, run: Run, store: Store) -> int:
    if (record := store.record(run.id)) is None:  # a newer attempt took the run over
        raise _not_free(run, store)
    if args.json:
        print_json({"record": msgspec.to_builtins(record)})
    else:
        show(_text(record))
    return 0


def _run(args: argparse.Namespace) -> Run:
    words = Words(
        task=args.task,
        optimizer=args.optimizer,
        values=args.values,
        scale=args.scale,
        seed=args.seed,
        probes=args.probe,
    )
    run = described_run(words, args.data)
    optimizer_of(run.setting.optimizer).check_implementation(args.implementation)
    return run


def train(args: argparse.Namespace, run: Run, store: Store, place: Place | None) -> int:
    """Trains `run` in this process, on processes forked here, or as the process at `place`; returns an exit code."""
    from optathlon.suite.working.exit_codes import BUSY, IN_ORDER, REFUSED, describe

    before = max(store.endings(run.id), default=0)
    codes = _carry_out(args, run, store, place)
    if codes[0] == BUSY and store.record(run.id) is None:
        raise _not_free(run, store)
    lost = any(code not in IN_ORDER for code in codes) and store.record(run.id) is None
    if codes[0] in (OK, BUSY) and not lost:
        return OK
    if place is not None and place.rank:
        return codes[0]
    if INTERRUPTED in codes:
        say("interrupted; the same command begins or goes on")
        return INTERRUPTED
    if codes[0] == REFUSED:
        return ENVIRONMENT
    if codes[0] == PREEMPTED:
        say("stopped; the same command goes on from here")
        return PREEMPTED
    for rank, code in enumerate(codes):
        if code < 0:
            say(f"process {rank} {describe(code)}")
    ended = store.endings(run.id)
    if (newest := max(ended, default=0)) > before:
        say(_failure(args, store, ended[newest]))
    return FAILED


def _carry_out(args: argparse.Namespace, run: Run, store: Store, place: Place | None) -> list[int]:
    """Does what `train` promises; returns the exit code of each process that was started here."""
    import torch

    from optathlon.suite.training.team import ALONE, Lost, meet
    from optathlon.suite.working.job import Job, carry_out
    from optathlon.suite.working.preloading import prepare_kernels
    from optathlon.suite.working.several_processes import on_this_machine, part_or_stopped, take_part
    from optathlon.suite.working.signals import stop_flag

    prepare_kernels([optimizer_of(run.setting.optimizer)], args.implementation, say)
    process = {"data_workers": args.data_workers, "device": args.device, "implementation": args.implementation}
    job = Job(run, store, args.data, **process, networks=network_options(args), say=say, watch=Progress(run))
    if place is None and args.processes > 1:
        return on_this_machine(job, args.processes)
    with stop_flag() as flag:  # before the claim: who is asked to stop has not failed
        if place is not None:
            try:
                return [part_or_stopped(lambda: take_part(job, place, meet(place, stop=flag), flag), flag)]
            except Lost as error:
                raise MachineError(str(error)) from error
        if args.device == "cuda" and not torch.cuda.is_available():
            raise MachineError("--device cuda: torch sees no GPU on this machine; see `optathlon doctor`")
        return [carry_out(job, ALONE, job.torch_device, flag)]


def _failure(args: argparse.Namespace, store: Store, ended: Ended) -> str:
    advice = f"{failures.known(ended.failure).what}: {failures.advice(ended.failure, ended.run)}"
    short = f"failed: {shortened(ended.reason)}; {advice} (traceback: {store.work(ended.run)}, or --debug)"
    return ended.trace.rstrip() if args.debug and ended.trace else short


def _not_free(run: Run, store: Store) -> MachineError:
    state = store.states([run.id])[run.id]
    if state.kind == "failed":
        return MachineError(
            f"run {run.id} failed three times without getting on ({state.reason}); "
            f"`optathlon retry {run.id}` lets it be tried again, `optathlon forget {run.id}` starts anew"
        )
    return MachineError(f"run {run.id} is {state.kind} elsewhere; wait for it, see {store.work(run.id)}")


class Progress:
    """Says how a run gets on: one line on a terminal, one log line per half minute elsewhere."""

    def __init__(self, run: Run) -> None:
        from optathlon.suite.monitoring.progress import Teller

        self.run, self.length, self.teller = run, run.protocol.length, Teller()
        self.began: tuple[float, float] | None = (0.0, 0.0)

    def __call__(self, event: dict[str, Any]) -> None:
        if "resumed" in event:
            say(f"goes on at update {event['resumed']}")
            self.began = None
        elif "time" in event:
            part, seconds = event["time"] / self.length, event["seconds"]
            self.began = self.began or (part, seconds)
            done = part - self.began[0]
            left = (seconds - self.began[1]) * (1 - part) / done if done > 0 else 0.0
            self.teller.tell(f"{self.run.label}: {part:.0%}, update {event['update']}", left, last=part >= 1)


def _text(record: Record) -> str:
    rows = [(s.name, "diverged" if s.value is None else f"{s.value:.4g}", s.unit) for s in record.scores]
    text = table(rows, ("metric", "value", "unit"))
    return f"diverged at update {record.diverged_at}\n{text}" if record.status == "diverged" else text
