"""Convert a weight decay between its conventions, or tell what a paper's may mean for an optimizer.

optathlon decay 1e-4 --from l2 --to decoupled --lr 0.1 --momentum 0.9
optathlon decay 1e-4 adamp
"""

from __future__ import annotations

import argparse
import math
from typing import Any

from optathlon.optimizers.decay import CONVENTION_OF, CONVENTIONS, convert, readings
from optathlon.suite.console import add_json, print_json, table
from optathlon.suite.errors import OK, UsageError
from optathlon.suite.identity import optimizer_of


def configure(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("value", type=float, help="the weight decay")
    parser.add_argument("optimizer", nargs="?", help="in place of --from and --to: both readings for this optimizer")
    parser.add_argument("--from", dest="source", choices=CONVENTIONS)
    parser.add_argument("--to", dest="target", choices=CONVENTIONS)
    parser.add_argument("--lr", type=float, help="the rate (default: the optimizer's)")
    parser.add_argument("--momentum", type=float, help="of SGD and SGDP (default: the optimizer's, else 0)")
    parser.add_argument(
        "--wd-ratio", type=float, help="AdamP's and SGDP's on projected weights (default: the optimizer's, else 1)"
    )
    add_json(parser)


def main(args: argparse.Namespace) -> int:
    if not (math.isfinite(args.value) and args.value >= 0):
        raise UsageError(f"a weight decay must be finite and at least 0, not {args.value!r}")
    return _readings(args) if args.optimizer else _conversion(args)


def _conversion(args: argparse.Namespace) -> int:
    if args.source is None or args.target is None or args.lr is None:
        raise UsageError("give --from, --to and --lr, or the name of an optimizer: optathlon decay 1e-4 adamp")
    options = {
        "lr": args.lr,
        "momentum": 0.0 if args.momentum is None else args.momentum,
        "wd_ratio": 1.0 if args.wd_ratio is None else args.wd_ratio,
    }
    result = convert(args.value, args.source, args.target, **options)
    if args.json:
        print_json({"value": args.value, "from": args.source, "to": args.target, **options, "result": result})
    else:
        print(f"{result:.6g}")
    return OK


def _readings(args: argparse.Namespace) -> int:
    if args.source or args.target:
        raise UsageError(f"{args.optimizer} has its own convention: give either its name or --from and --to")
    spec = optimizer_of(args.optimizer)
    if args.lr is None and spec.hyperparameters["lr"].required:
        raise UsageError(f"{spec.name}: its lr has no default, give one: --lr 0.1")
    options: dict[str, Any] = {"lr": args.lr, "momentum": args.momentum, "wd_ratio": args.wd_ratio}
    resolved = spec.resolve({key: value for key, value in options.items() if value is not None})
    values = readings(spec.name, args.value, resolved)
    if not values:
        known = ", ".join(CONVENTION_OF)
        raise UsageError(f"{spec.name}: its decay takes no fixed fraction of a weight; known are {known}")
    used = {key: resolved[key] for key in options if key in resolved}
    if args.json:
        print_json({"value": args.value, "optimizer": spec.name, **used, "readings": values})
        return OK
    print(
        f"a paper's weight decay {args.value:g} for {spec.name} at {', '.join(f'{k} {v:g}' for k, v in used.items())}"
    )
    print()
    print(table(_rows(args.value, values), ("if it is", "weights", "argument", "shrink a step")))
    return OK


def _rows(value: float, values: dict[str, float]) -> list[tuple[str, str, str, str]]:
    rows = []
    for suffix in ("", "_projected"):
        if f"shrink_if_argument{suffix}" in values:
            weights = "projected" if suffix else "not projected" if "shrink_if_argument_projected" in values else "all"
            shrink, argument = values[f"shrink_if_argument{suffix}"], values[f"argument_if_shrink{suffix}"]
            rows.append(("the argument", weights, f"{value:.6g}", f"{shrink:.6g}"))
            rows.append(("the shrink a step", weights, f"{argument:.6g}", f"{value:.6g}"))
    return rows
