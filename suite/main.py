"""The command `optathlon`: finds the subcommand and imports only that."""

from __future__ import annotations

import argparse
import difflib
import errno
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence

from optathlon.suite.commands import COMMANDS
from optathlon.suite.errors import ENVIRONMENT, FAILED, INTERRUPTED, OK, USAGE, MachineError, UsageError

HIDDEN = ("work",)
"""Commands that no person calls: a launch starts workers by them."""

_REMEDIES = dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "; make room, and the same command goes on")
_REMEDIES |= dict.fromkeys(
    (errno.EACCES, errno.EPERM, errno.EROFS), "; give another folder, or have whoever owns it share it"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line; returns the exit code (docs/command-line.md)."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no arrows gets question marks
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in ("-h", "--help", "help"):
        from optathlon.suite.console import show

        show(_help(), " " * 13)
        return OK if words else USAGE
    if words[0] == "--version":
        from optathlon.suite.code import version

        print(f"optathlon {version()}")
        return OK
    known = [name for group in COMMANDS.values() for name in group]
    if words[0] not in (*known, *HIDDEN):
        near = difflib.get_close_matches(words[0], known, n=1, cutoff=0.5)
        return _fail(
            f"unknown command {words[0]!r}" + (f" (did you mean {near[0]}?)" if near else "; see --help"), USAGE
        )
    return _run(words[0], words[1:])


def _run(name: str, words: Sequence[str]) -> int:
    module = importlib.import_module(f"optathlon.suite.commands.{name}")
    parser = argparse.ArgumentParser(prog=f"optathlon {name}", description=module.__doc__)
    module.configure(parser)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    try:
        args = parser.parse_intermixed_args(words)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        return module.main(args)
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        raise
    except Exception as error:
        code = _code(error)
        if code is None or args.debug:
            traceback.print_exc()
        return _fail(error_message(error), FAILED if code is None else code)


def error_message(error: Exception) -> str:
    """Returns an error's message; for an error of the system: which file, what is wrong with it, and what to do."""
    if not isinstance(error, OSError) or error.strerror is None:
        return str(error) or type(error).__name__
    where = f"{os.fsdecode(error.filename)}: " if isinstance(error.filename, str | bytes) else ""
    return f"{where}{error.strerror}{_REMEDIES.get(error.errno or 0, '')}"


def _code(error: Exception) -> int | None:
    """Returns the exit code of an error that is the user's or the machine's; None for a bug of ours."""
    from optathlon.optimizers import OptimizerError
    from optathlon.results.errors import StoreError
    from optathlon.slurm.cluster import ClusterError
    from optathlon.tasks import DataError, TaskError

    if isinstance(error, DataError | StoreError | MachineError | ClusterError | OSError):
        return ENVIRONMENT
    return USAGE if isinstance(error, UsageError | TaskError | OptimizerError) else None


def _fail(message: str, code: int) -> int:
    from optathlon.suite.console import say

    say(f"optathlon: {' '.join(message.split())}")  # what a library raises may have several lines
    return code


def _help() -> str:
    lines = ["Optathlon, a benchmark suite for deep-learning optimizers", "", "usage: optathlon COMMAND [options]"]
    for group, commands in COMMANDS.items():
        lines += ["", f"{group}:", *(f"  {name:<12} {text}" for name, text in commands.items())]
    return "\n".join([*lines, "", "optathlon COMMAND --help tells the options of one command."])


def console() -> None:
    """Runs the installed command. That a reader such as `head` closes the pipe early is no error."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by who started this; a file opened later must not take its place
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
    try:
        code = main()
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        code = OK
    sys.exit(code)
