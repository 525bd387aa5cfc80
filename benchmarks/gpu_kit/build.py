"""Builds the GPU kit, a folder for a machine without a network: python benchmarks/gpu_kit/build.py FOLDER

In it: the source with its tests and benchmarks, and the wheels that such a machine lacks.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent

WHEELS = (
    # what Optathlon needs beside what docs/gpu-kit.md asks of the machine
    "msgspec", "submitit", "cloudpickle", "soundfile", "cffi", "pycparser", "pandas", "python-dateutil", "six",
    "tzdata", "faster-coco-eval", "plumbum", "datasets", "dill", "multiprocess", "xxhash", "pytorch-optimizer",
    # what its tests and benchmarks need
    "hypothesis", "sortedcontainers", "pytest-timeout", "pytest-xdist", "execnet", "pycocotools",
)  # fmt: skip
SOURCES = ("adamp",)
"""Of pure Python, and published as source alone."""
MOST_MEGABYTES = 60


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--python", default="3.12", help="of the machine that it is for (default: 3.12)")
    options = parser.parse_args()
    kit: Path = options.folder
    if kit.exists() and not (kit / "check.sh").exists():
        sys.exit(f"{kit}: is there and is no kit; name a new folder")
    shutil.rmtree(kit, ignore_errors=True)
    kit.mkdir(parents=True)
    copy_source(kit / "source")
    for name in ("check.sh", "install.py"):
        shutil.copy(ROOT / "benchmarks" / "gpu_kit" / name, kit / name)
    download_wheels(kit / "wheels", options.python)
    size = sum(path.stat().st_size for path in kit.rglob("*") if path.is_file() and not path.is_symlink()) / 1e6
    print(f"{kit}: {size:.1f} MB; copy it, then: bash {kit.name}/check.sh --minutes 9 --output results")
    if size > MOST_MEGABYTES:
        sys.exit(f"{kit}: is larger than {MOST_MEGABYTES} MB")


def copy_source(target: Path) -> None:
    """What git tracks, links as links."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.decode()
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_symlink() or (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name, follow_symlinks=False)


def download_wheels(target: Path, python: str) -> None:
    """The pinned versions, for 64-bit Linux on x86."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().split() if "==" in line)
    binaries, sources = ([f"{n}=={pins[n]}" if n in pins else n for n in names] for names in (WHEELS, SOURCES))
    tags = [word for n in (17, 27, 28, 34) for word in ("--platform", f"manylinux_2_{n}_x86_64")]
    tags += ["--platform", "manylinux2014_x86_64", "--platform", "linux_x86_64"]
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    subprocess.run([*pip, "--python-version", python, *tags, "--dest", str(target), *binaries], check=True)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(target)]
    subprocess.run([*pip, *sources], check=True)


if __name__ == "__main__":
    main()
