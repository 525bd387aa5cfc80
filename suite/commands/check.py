"""Prove that an optimizer, yours too, is fit to be trained with: optathlon check mine:MyOptimizer lr=0.1."""

from __future__ import annotations

import argparse
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from optathlon.suite.console import add_json, print_json, say, table
from optathlon.suite.errors import FAILED, OK, UsageError
from optathlon.suite.identity import optimizer_of
from optathlon.suite.user_modules import look_beside

if TYPE_CHECKING:
    from optathlon.optimizers.conformance.checks import Card


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("optimizer", help="a name from `optathlon list optimizers`, or module:Class")
    parser.add_argument("values", nargs="*", metavar="KEY=VALUE", help="hyperparameters: lr=1e-3, betas=[0.9,0.99]")
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    look_beside(Path.cwd())
    spec, values = optimizer_of(args.optimizer), _values(args.values)
    say(f"checks {spec.name} on small problems; this takes seconds")
    import torch

    from optathlon.optimizers.conformance import checks

    torch.set_num_threads(1)
    card = checks.check(spec, values)
    if args.json:
        print_json({"card": card, "passed": card.passed})
    else:
        print(_text(card))
    return OK if card.passed else FAILED


def _values(words: Sequence[str]) -> dict[str, Any]:
    """As `optathlon run` reads them: values of TOML, what is none is text."""
    values: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals:
            raise UsageError(f"{word!r}: must be KEY=VALUE, lr=1e-3")
        try:
            values[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            values[key] = text
    return values


def _text(card: Card) -> str:
    used = ", ".join(f"{key} {value}" for key, value in card.hyperparameters.items())
    findings = [
        ("FAIL" if f.status == "fail" else f.status, f.check, " ".join(f.detail.split())) for f in card.findings
    ]
    measures = (
        ("bytes of state for each parameter", card.state_bytes),
        ("time of a step over AdamW's", card.step_cost),
        ("power of the gradient's scale in a step", card.gradient_power),
    )
    failed = sum(f.status == "fail" for f in card.findings)
    return "\n".join(
        [
            f"{card.name}, version {card.version}: {used}",
            "",
            table(findings, ("", "check", "detail")),
            "",
            table([(name, "-" if value is None else f"{value:.3g}") for name, value in measures], ("measure", "value")),
            "",
            f"{card.name} passes" if card.passed else f"{card.name} fails {failed} of {len(card.findings)} checks",
        ]
    )
