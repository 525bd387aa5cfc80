"""The GPU kit's checks, most valuable first, each in a time box: python check.py --minutes 9 --output FOLDER

Writes report.json and report.md as it goes, so that whatever was reached is there when the machine goes. Exits with 0
if all parts passed, with 1 if one failed, with 3 if none failed but some ran out of time or did not begin.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu_kit import install
from benchmarks.gpu_kit.parts import ROOT, Part, parts
from benchmarks.gpu_kit.report import CANNOT_BEGIN, NO_GPU, UNFINISHED, Result, set_aside, verdict, write

LEAST_SECONDS = 5.0
"""A part for which less time is left is not begun."""
OF_THE_MACHINE = (
    "torchvision", "torchaudio", "transformers", "scipy", "sklearn", "pyarrow", "matplotlib", "timm", "pytest",
)  # fmt: skip
"""The modules that the kit expects to find beside torch."""


class Stopped(BaseException):
    """A signal that asks to stop has come."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def main() -> int:
    """Carries out the checks that the command line asks for; returns the exit code."""
    options = arguments()
    try:
        with unpacked(options.wheels) as more:
            return check(options, more)
    except install.UnfitWheelError as error:
        return say(error, CANNOT_BEGIN)
    except OSError as error:  # no place for the wheels, or for reports
        return say(error, CANNOT_BEGIN)
    except Stopped as stopped:
        return 128 + stopped.number


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="for all of it (default: 9)")
    parser.add_argument("--output", type=Path, default=Path("gpu-kit-results"), help="a folder (default: %(default)s)")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", nargs="+", help="parts whose names begin so")
    parser.add_argument("--wheels", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def say(message: object, code: int) -> int:
    print(f"check.py: {message}", file=sys.stderr)
    return code


@contextlib.contextmanager
def unpacked(wheels: Path | None) -> Iterator[list[str]]:
    """Has what this machine lacks of `wheels` importable here; gives the folder that others need on their path."""
    if wheels is None:
        yield []
        return
    with tempfile.TemporaryDirectory(prefix="optathlon-gpu-kit-", ignore_cleanup_errors=True) as folder:
        taken = install.unpack_missing(wheels, Path(folder))
        print(f"from the kit's wheels: {', '.join(taken) or 'none'}", file=sys.stderr)
        sys.path.append(folder)
        yield [folder]


def check(options: argparse.Namespace, path: Sequence[str]) -> int:
    if importlib.util.find_spec("torch") is None:
        return say(f"{sys.executable} has no torch; PYTHON=/path/to/python names another", CANNOT_BEGIN)
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        return say("torch sees no GPU here; --device cpu tries the kit itself", NO_GPU)
    output: Path = options.output.resolve()
    begins = tuple(options.only or [""])
    chosen = [part for part in parts(options.device, output / "data", output) if part.name.startswith(begins)]
    if not chosen:
        return say(f"no part's name begins with {' or '.join(map(repr, begins))}", CANNOT_BEGIN)
    missing = [module for module in OF_THE_MACHINE if importlib.util.find_spec(module) is None]
    if missing:
        say(f"not installed here, so that parts which need it fail: {', '.join(missing)}", 0)
    output.mkdir(parents=True, exist_ok=True)
    (output / "data").mkdir(exist_ok=True)
    if earlier := set_aside(output):
        say(f"what an earlier check left in {output} is now in {earlier.name}/", 0)
    card = torch.cuda.get_device_name() if options.device == "cuda" else "CPU"
    head = {"card": card, "device": options.device, "torch": torch.__version__, "missing": missing}
    head |= {"date": time.strftime("%Y-%m-%d %H:%M"), "minutes": options.minutes}
    return carry_out_and_report(chosen, options, output, head, path)


def carry_out_and_report(
    chosen: Sequence[Part], options: argparse.Namespace, output: Path, head: dict[str, Any], path: Sequence[str]
) -> int:
    results: list[Result] = []
    stopped_by, unwritten = 0, ""
    try:
        for result in carry_out_all(chosen, options.minutes, environment(options.device, path)):
            results.append(result)
            print(f"{result.name}: {result.outcome}, {result.seconds} s", file=sys.stderr, flush=True)
            try:
                write(output, head, results)
            except OSError as error:  # a full disk: the parts go on, and each line above is something
                unwritten = f"report.md could not be written: {error}"
                say(unwritten, 0)
            else:
                unwritten = ""
    except Stopped as stopped:
        stopped_by = stopped.number
    code, lines = verdict(results)
    print(*lines, unwritten or f"written: {output / 'report.md'}", sep="\n", file=sys.stderr)
    if stopped_by:
        return 128 + stopped_by
    return code or (UNFINISHED if unwritten else 0)


def environment(device: str, path: Sequence[str]) -> dict[str, str]:
    """Returns the parts' variables. path: folders in which their modules are, beside those of this process."""
    known = [folder for folder in os.environ.get("PYTHONPATH", "").split(os.pathsep) if folder]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([*known, *path]),
        "OPTATHLON_TEST_DEVICE": device,
        # cuBLAS and torch read it once a process, before the first product: too early for a test to set it.
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    }


def carry_out_all(chosen: Sequence[Part], minutes: float, variables: dict[str, str]) -> Iterator[Result]:
    """Yields the result of each part as it ends; those for which no time is left are not begun.

    After a signal that asks to stop, the part that it stopped and those that were not begun come before Stopped is
    raised.
    """
    end, stopped = time.monotonic() + 60 * minutes, None
    for part in chosen:
        left = end - time.monotonic()
        if stopped is not None or left < LEAST_SECONDS:
            yield Result(part.name, "not begun")
            continue
        begun = time.monotonic()
        try:
            yield carry_out(part, left, variables)
        except PartStoppedError as error:
            stopped = error.number
            yield Result(part.name, "stopped", round(time.monotonic() - begun, 1), error.output)
    if stopped is not None:
        raise Stopped(stopped)


class PartStoppedError(Exception):
    """A signal came while a part was under way, which has been ended."""

    def __init__(self, number: int, output: str) -> None:
        super().__init__(number)
        self.number, self.output = number, output


def carry_out(part: Part, left: float, variables: dict[str, str]) -> Result:
    """Runs a part for as long as it may, and no longer than is `left`; nothing that it started runs on."""
    start = time.monotonic()
    process = subprocess.Popen(
        part.command, cwd=ROOT, env=variables, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=min(part.seconds, left))
        outcome = f"failed ({process.returncode})" if process.returncode else "passed"
    except subprocess.TimeoutExpired:
        output, outcome = end(process), "out of time"
    except Stopped as stopped:
        raise PartStoppedError(stopped.number, end(process)) from None
    return Result(part.name, outcome, round(time.monotonic() - start, 1), output)


def end(process: subprocess.Popen[str]) -> str:
    """Ends a process and all that it started, which would hold its output and the GPU; returns what it said."""
    os.killpg(process.pid, signal.SIGKILL)
    return process.communicate()[0]


def stop_by_signals() -> None:
    """Has Ctrl-C and SIGTERM raise Stopped here."""

    def raise_stopped(number: int, _: object) -> None:
        raise Stopped(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, raise_stopped)


if __name__ == "__main__":
    stop_by_signals()
    sys.exit(main())
