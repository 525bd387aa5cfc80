"""The GPU kit's checks, most valuable first, each in a time box: python check.py --minutes 9 --output FOLDER

Writes report.json and report.md as it goes, so that whatever was reached is there when the machine goes. Exits with 0
if all parts passed, with 1 if one failed, with 3 if none failed but some ran out of time or did not begin.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
FAILED, UNFINISHED, NO_GPU = 1, 3, 5
"""Exit codes, beside 0 where all parts passed."""
OUTCOMES = {"failed": FAILED, "out of time": UNFINISHED, "not begun": UNFINISHED, "passed": 0}
"""The exit code for a part of each outcome, the worst first."""
LEAST_SECONDS = 5.0
"""A part for which less time is left is not begun."""

FAMILIES = (
    "biased-mnist-0.990", "ptb-awd-lstm", "speech-commands", "wikitext103-txl", "wikitext103-llama", "cub-proxyanchor",
    "imagenet-resnet18", "coco-centernet-random", "cifar10-linf4", "imagenet9-rebias", "mtat", "dcase2017",
)  # fmt: skip


class Part(NamedTuple):
    """One check: a command, and how many seconds it may take at most."""

    name: str
    command: list[str]
    seconds: float


class Result(NamedTuple):
    """How a part ended."""

    name: str
    code: int | None
    """Its exit code; None if it did not come to its end."""
    seconds: float
    output: str
    begun: bool = True

    @property
    def outcome(self) -> str:
        if self.code is None:
            return "out of time" if self.begun else "not begun"
        return "passed" if self.code == 0 else f"failed ({self.code})"


def parts(device: str, data: Path, output: Path) -> Iterator[Part]:
    python, bench = [sys.executable, "-P"], ROOT / "benchmarks"
    folders = ["tests/optimizers/kernels", "tests/suite/training"]
    test = [*python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-m", "gpu", *folders]
    yield Part("tests marked gpu", test, 180)
    small = [] if device == "cuda" else ["--rounds", "3", "--models", "harmonic_cnn"]
    yield Part("optimizer step", [*python, str(bench / "optimizer_step.py"), "--device", device, *small], 120)
    large = ["--precision", "bf16", "--compile", "--batch", "256", "--crop", "224", "--tasks", "imagenet-resnet50"]
    small = ["--rounds", "3", "--warmup", "1", "--narrow", "--batch", "8", "--tasks", "imagenet-resnet18"]
    train = [*python, str(bench / "train_step.py"), "--device", device, *(large if device == "cuda" else small)]
    yield Part("training step", train, 150)
    miniatures = [*python, "-m", "optathlon", "data", "miniature", *sorted(dataset_names()), "--data", str(data)]
    yield Part("miniatures", miniatures, 120)
    where = ["--data", str(data), "--store", str(output / "store"), "--device", device]
    for task in FAMILIES:
        run = [*python, "-m", "optathlon", "run", task, "adamp", "lr=1e-3", "--scale", "smoke", *where]
        yield Part(f"smoke run of {task}", run, 90)


def dataset_names() -> set[str]:
    from optathlon import tasks

    return {name for family in FAMILIES for name in tasks.task(family).datasets}


def carry_out(part: Part, left: float, device: str) -> Result:
    """Runs a part for as long as it may, and no longer than is `left`; nothing that it started runs on."""
    start = time.perf_counter()
    process = subprocess.Popen(
        part.command, cwd=ROOT, env={**os.environ, "OPTATHLON_TEST_DEVICE": device}, text=True, errors="replace",
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=min(part.seconds, left))
    except BaseException as error:
        os.killpg(process.pid, signal.SIGKILL)  # else its own processes would hold the output, and the GPU
        output, _ = process.communicate()
        if not isinstance(error, subprocess.TimeoutExpired):
            raise
        return Result(part.name, None, round(time.perf_counter() - start, 1), output)
    return Result(part.name, process.returncode, round(time.perf_counter() - start, 1), output)


def carry_out_all(chosen: Sequence[Part], minutes: float, device: str) -> Iterator[Result]:
    """Yields the result of each part as it ends; those for which no time is left are not begun."""
    end = time.monotonic() + 60 * minutes
    for part in chosen:
        left = end - time.monotonic()
        yield carry_out(part, left, device) if left >= LEAST_SECONDS else Result(part.name, None, 0.0, "", begun=False)


def verdict(results: Sequence[Result]) -> tuple[int, list[str]]:
    """Returns the exit code, and a line for each kind of outcome that names its parts."""
    lines, code = [], 0
    for outcome, of_outcome in OUTCOMES.items():
        if names := [result.name for result in results if result.outcome.startswith(outcome)]:
            lines.append(f"{outcome}: {len(names)} of {len(results)}: {', '.join(names)}")
            code = code or of_outcome
    return code, lines


def card(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def write(folder: Path, head: dict[str, Any], results: list[Result]) -> None:
    document = {**head, "parts": [{**result._asdict(), "outcome": result.outcome} for result in results]}
    replace(folder / "report.json", json.dumps(document, indent=1) + "\n")
    lines = [
        f"# {head['card']}, torch {head['torch']}, {head['date']}",
        "",
        *verdict(results)[1],
        "",
        "| part | outcome | seconds |",
        "|---|---|---|",
    ]
    lines += [f"| {result.name} | {result.outcome} | {result.seconds} |" for result in results]
    for result in filter(lambda result: result.begun, results):
        lines += ["", f"## {result.name}", "", "```", *result.output.splitlines()[-40:], "```"]
    replace(folder / "report.md", "\n".join(lines) + "\n")


def replace(path: Path, text: str) -> None:
    """Writes a file so that whoever reads meanwhile has it whole, this one or the one before."""
    new = path.with_name(f".{path.name}.new")
    new.write_text(text)
    new.replace(path)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=9.0, help="for all of it (default: 9)")
    parser.add_argument("--output", type=Path, default=Path("gpu-kit-results"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--only", nargs="+", help="parts whose names begin so")
    options = parser.parse_args()
    import torch

    if options.device == "cuda" and not torch.cuda.is_available():
        print("check.py: torch sees no GPU here; --device cpu tries the kit itself", file=sys.stderr)
        return NO_GPU
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    head = {"card": card(options.device), "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    begins = tuple(options.only or [""])
    chosen = [part for part in parts(options.device, output / "data", output) if part.name.startswith(begins)]
    if not chosen:
        print(f"check.py: no part's name begins with {' or '.join(map(repr, begins))}", file=sys.stderr)
        return FAILED
    results: list[Result] = []
    for result in carry_out_all(chosen, options.minutes, options.device):
        results.append(result)
        write(output, head, results)
        print(f"{result.name}: {result.outcome}, {result.seconds} s", file=sys.stderr)
    code, lines = verdict(results)
    print(*lines, f"written: {output / 'report.md'}", sep="\n", file=sys.stderr)
    return code


if __name__ == "__main__":
    sys.exit(main())
