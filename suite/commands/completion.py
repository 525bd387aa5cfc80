"""The script by which a shell completes commands, options and names: eval "$(optathlon completion bash)"."""

from __future__ import annotations

import argparse
import importlib

from optathlon import optimizers, tasks
from optathlon.suite.commands import COMMANDS
from optathlon.suite.console import write_data
from optathlon.suite.errors import OK, MachineError
from optathlon.suite.planning import sweep_reader

SHELLS = ("bash", "zsh", "tcsh")
FOLDERS = ("store", "data", "source", "into", "tensorboard", "mlflow", "wandb_offline")
"""Arguments, as argparse calls them, that are folders."""
SWEEPS = "_optathlon_sweeps"
"""The shell's function that completes a sweep: files, and the names of those that are built in."""


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=SHELLS)


def main(args: argparse.Namespace) -> int:
    try:
        import shtab
    except ModuleNotFoundError:
        raise MachineError(
            "completion: needs shtab, which is not installed: pip install 'optathlon[completion]'"
        ) from None
    preamble = {
        "bash": f"{SWEEPS}() {{\n  compgen -f -X '!*.toml' -- \"$1\"\n  compgen -W '{_built_in()}' -- \"$1\"\n}}\n",
        "zsh": f"{SWEEPS}() {{\n  _files -g '*.toml'\n  compadd -- {_built_in()}\n}}\n",
    }
    write_data(
        shtab.complete(_parser(), shell=args.shell, root_prefix="optathlon", preamble=preamble.get(args.shell, ""))
        + "\n"
    )
    return OK


def _built_in() -> str:
    return " ".join(sweep_reader.built_in())


def _parser() -> argparse.ArgumentParser:
    """One parser of all commands, which main has one each of, so that a command imports no other's modules."""
    parser = argparse.ArgumentParser(prog="optathlon")
    commands = parser.add_subparsers()
    for name, summary in (item for group in COMMANDS.values() for item in group.items()):
        command = commands.add_parser(name, help=summary)
        importlib.import_module(f"optathlon.suite.commands.{name}").configure(command)
        command.add_argument("--debug", action="store_true", help="show tracebacks")
        for argument in command._actions:
            _complete(argument)
    return parser


def _complete(argument: argparse.Action) -> None:
    """Say what completes an argument whose values argparse does not know."""
    import shtab

    if isinstance(argument.choices, dict):
        argument.choices = list(argument.choices)  # shtab takes a dictionary for commands of a command
    names = {"task": tasks.names, "optimizer": optimizers.names}
    if argument.dest in names:
        argument.choices = names[argument.dest]()
    elif argument.dest == "sweep":
        argument.complete = {"bash": SWEEPS, "zsh": SWEEPS}  # pyright: ignore[reportAttributeAccessIssue]
    elif argument.dest in FOLDERS:
        argument.complete = shtab.DIRECTORY  # pyright: ignore[reportAttributeAccessIssue]
    elif getattr(argument.type, "__name__", "") == "Path":
        argument.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]
