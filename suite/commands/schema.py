"""The JSON schema of sweep files, with which an editor completes and checks them: docs/sweeps.md."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from optathlon.suite.commands.shared import chosen_boards
from optathlon.suite.console import say, write_data
from optathlon.suite.errors import OK


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", type=Path, metavar="FILE", help="a file instead of stdout")


def main(args: argparse.Namespace) -> int:
    from optathlon.suite.planning.sweep_schema import schema

    text = json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"
    if args.output is None:
        write_data(text)
        return OK
    chosen_boards.check_output("--output", args.output)
    chosen_boards.write("--output", args.output, text)
    say(f"written: {args.output}. The first line of a sweep file that an editor checks by it: #:schema {args.output}")
    return OK
