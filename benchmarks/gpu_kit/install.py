"""Unpacks those wheels of a folder whose distribution is not installed: python install.py WHEELS TARGET

A wheel is an archive: nothing is compiled, no network is asked, and neither pip nor a virtual environment is needed.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import zipfile
from pathlib import Path

THIS = f"cp{sys.version_info.major}{sys.version_info.minor}"
"""This Python, as wheels name it."""


class UnfitWheelError(Exception):
    """A wheel that is needed is for another Python."""


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def fits(wheel: Path) -> bool:
    """Whether a wheel is for this Python: by its name's tags, such as cp312-cp312, cp39-abi3 and py3-none."""
    python, abi = wheel.stem.split("-")[-3:-1]
    return abi == "abi3" or any(tag == THIS or tag.startswith("py3") for tag in python.split("."))


def unpack_missing(wheels: Path, target: Path) -> list[str]:
    """Unpacks what is not installed into `target`; returns the names. Raises UnfitWheelError before it unpacks any."""
    present = {normal(found.metadata["Name"]) for found in importlib.metadata.distributions() if found.metadata["Name"]}
    missing = [w for w in sorted(wheels.glob("*.whl")) if normal(w.name.partition("-")[0]) not in present]
    if unfit := [wheel.name for wheel in missing if not fits(wheel)]:
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        raise UnfitWheelError(
            f"{unfit[0]} is not for this Python, {version}; PYTHON=/path/to/python names another, and"
            f" `python benchmarks/gpu_kit/build.py FOLDER --python {version}` builds a kit for this one"
        )
    for wheel in missing:
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(target)
    return [wheel.name.partition("-")[0] for wheel in missing]


def main() -> None:
    taken = unpack_missing(*map(Path, sys.argv[1:]))
    print(f"from the kit's wheels: {', '.join(taken) or 'none'}", file=sys.stderr)


if __name__ == "__main__":
    main()
