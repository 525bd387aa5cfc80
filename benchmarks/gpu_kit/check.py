"""The GPU kit's checks, most valuable first, each in a time box: python check.py --minutes 9 --output FOLDER

Writes report.json and report.md as it goes, so that whatever was reached is there when the machine goes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parent.parent.parent
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
    name: str
    code: int | None
    seconds: float
    output: str

    @property
    def outcome(self) -> str:
        return "out of time" if self.code is None else "passed" if self.code == 0 else f"failed ({self.code})"


def parts(device: str, data: Path, output: Path) -> Iterator[Part]:
    python, bench = [sys.executable, "-P"], ROOT / "benchmarks"
    test = [
        *python,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-m",
        "gpu",
        "tests/optimizers/kernels",
        "tests/suite/training",
    ]
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
    """Runs a part for as long as it may, and no longer than is `left`."""
    start = time.perf_counter()
    environment = {**os.environ, "OPTATHLON_TEST_DEVICE": device}
    try:
        done = subprocess.run(
            part.command, cwd=ROOT, env=environment, text=True, check=False, timeout=min(part.seconds, left),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        code, output = done.returncode, done.stdout
    except subprocess.TimeoutExpired as error:
        code, output = None, (error.stdout or b"").decode(errors="replace")
    return Result(part.name, code, round(time.perf_counter() - start, 1), output)


def card(device: str) -> str:
    import torch

    return torch.cuda.get_device_name() if device == "cuda" else "CPU"


def write(folder: Path, head: dict[str, Any], results: list[Result]) -> None:
    document = {**head, "parts": [{**result._asdict(), "outcome": result.outcome} for result in results]}
    (folder / "report.json").write_text(json.dumps(document, indent=1) + "\n")
    lines = [
        f"# {head['card']}, torch {head['torch']}, {head['date']}",
        "",
        "| part | outcome | seconds |",
        "|---|---|---|",
    ]
    lines += [f"| {result.name} | {result.outcome} | {result.seconds} |" for result in results]
    for result in results:
        lines += ["", f"## {result.name}", "", "```", *result.output.splitlines()[-40:], "```"]
    (folder / "report.md").write_text("\n".join(lines) + "\n")


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
        return 5
    output = options.output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    head = {"card": card(options.device), "torch": torch.__version__, "date": time.strftime("%Y-%m-%d")}
    end, results = time.monotonic() + 60 * options.minutes, []
    for part in parts(options.device, output / "data", output):
        if options.only and not part.name.startswith(tuple(options.only)):
            continue
        if (left := end - time.monotonic()) < 5:
            print(f"{part.name}: no time is left", file=sys.stderr)
            break
        results.append(carry_out(part, left, options.device))
        write(output, head, results)
        print(f"{part.name}: {results[-1].outcome}, {results[-1].seconds} s", file=sys.stderr)
    print(f"written: {output / 'report.md'}", file=sys.stderr)
    return int(any(result.code for result in results))


if __name__ == "__main__":
    sys.exit(main())
