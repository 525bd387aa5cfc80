"""Prove that an optimizer or a task, yours too, is fit to be trained with: optathlon check mine:MyOptimizer lr=0.1,
optathlon check mine:TASK."""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optathlon import tasks
from optathlon.optimizers import OptimizerSpec
from optathlon.results.readable import one_line
from optathlon.suite.commands.shared.described_run import key_values, nest
from optathlon.suite.console import add_data, add_json, print_json, say, show, table
from optathlon.suite.errors import FAILED, OK, UsageError
from optathlon.suite.identity import optimizer_of, task_of
from optathlon.suite.user_modules import look_beside, prefer_own
from optathlon.tasks.registry import resolve

if TYPE_CHECKING:
    from optathlon.optimizers.conformance.checks import Card
    from optathlon.tasks.conformance.checks import Card as TaskCard


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="an optimizer or a task by name, module:Class or module:TASK")
    parser.add_argument(
        "values", nargs="*", metavar="KEY=VALUE", help="hyperparameters: lr=1e-3; of a task, protocol.*"
    )
    parser.add_argument("--scale", choices=tasks.SCALES, help="of a task (default: the smallest that it has)")
    add_data(parser)
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    look_beside(Path.cwd())
    return _check_task(args) if _is_task(args.name) else _check_optimizer(args)


def _is_task(name: str) -> bool:
    """Whether `name` is a task's and not an optimizer's; UsageError where it can be neither."""
    if ":" not in name:
        return name in tasks.names()
    prefer_own(name)
    named = resolve(name)
    if isinstance(named, type) and hasattr(named, "evaluate") and hasattr(named, "batches"):
        raise UsageError(f"{name}: is a Workload; name the Task that describes it, as in mine:TASK")
    if not isinstance(named, type | tasks.Task | OptimizerSpec):
        raise UsageError(
            f"{name}: is neither a torch.optim.Optimizer class nor an OptimizerSpec nor a Task,"
            f" but of type {type(named).__name__}"
        )
    return isinstance(named, tasks.Task)


def _check_task(args: argparse.Namespace) -> int:
    task = task_of(args.name)
    scale = args.scale or next(scale for scale in reversed(tasks.SCALES) if scale in task.protocols)
    changes: dict[str, Any] = {}
    for key, value in key_values(args.values).items():
        if not key.startswith("protocol."):
            raise UsageError(f"{key}: a task takes changes of its protocol only, protocol.batch=8")
        nest(changes, key.split(".")[1:], value)
    protocol = task.protocol(scale).override(changes)
    say(f"checks {task.name} at scale {scale}; this takes seconds for small data and networks")
    from optathlon.suite.conformance import check_task

    card = check_task(task, scale, protocol, args.data)
    if args.json:
        print_json({"card": card, "passed": card.passed})
    else:
        show(task_card(card))
    return OK if card.passed else FAILED


def task_card(card: TaskCard) -> str:
    """Lays the card out in at most 80 columns: one line per proof, and its detail below."""
    marks = {"fail": "FAIL", "skipped": "-"}
    lines = [f"{card.name}, version {card.version}, scale {card.scale}", ""]
    for finding in card.findings:
        lines.append(f"{marks.get(finding.status, finding.status):<6} {finding.check}")
        lines += textwrap.wrap(one_line(finding.detail), 72, initial_indent=" " * 7, subsequent_indent=" " * 7)
    failed = sum(finding.status == "fail" for finding in card.findings)
    skipped = sum(finding.status == "skipped" for finding in card.findings)
    end = f"{card.name} fails {failed} of {len(card.findings)} proofs"
    tail = f"; {skipped} (-) wait for what failed" if skipped else ""
    return "\n".join([*lines, "", f"{card.name} passes" if card.passed else end + tail])


def _check_optimizer(args: argparse.Namespace) -> int:
    spec, values = optimizer_of(args.name), key_values(args.values)
    say(f"checks {spec.name} on small problems; this takes seconds")
    import torch

    from optathlon.optimizers.conformance import checks

    torch.set_num_threads(1)
    card = checks.check(spec, values)
    if args.json:
        print_json({"card": card, "passed": card.passed})
    else:
        show(_text(card))
    return OK if card.passed else FAILED


def _text(card: Card) -> str:
    used = ", ".join(f"{key} {value}" for key, value in card.hyperparameters.items())
    marks = {"fail": "FAIL", "skipped": "-"}
    findings = [(marks.get(f.status, f.status), f.check, " ".join(f.detail.split())) for f in card.findings]
    measures = (
        ("bytes of state for each parameter", card.state_bytes),
        ("time of a step over AdamW's", card.step_cost),
        ("power of the gradient's scale in a step", card.gradient_power),
    )
    failed, skipped = (sum(f.status == status for f in card.findings) for status in ("fail", "skipped"))
    fails = f"{card.name} fails {failed} of {len(card.findings)} checks" + (
        f"; {skipped} more (-) fail alike" if skipped else ""
    )
    return "\n".join(
        [
            f"{card.name}, version {card.version}: {used}",
            "",
            table(findings, ("", "check", "detail")),
            "",
            table([(name, "-" if value is None else f"{value:.3g}") for name, value in measures], ("measure", "value")),
            "",
            f"{card.name} passes" if card.passed else fails,
        ]
    )
