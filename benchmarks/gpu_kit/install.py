"""Unpacks those wheels of a folder whose distribution is not installed: python install.py WHEELS TARGET

A wheel is an archive: nothing is compiled, no network is asked, and neither pip nor a virtual environment is needed.
"""

from __future__ import annotations

import importlib.metadata
import re
import sys
import zipfile
from pathlib import Path


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def main() -> None:
    wheels, target = map(Path, sys.argv[1:])
    present = {normal(found.metadata["Name"]) for found in importlib.metadata.distributions() if found.metadata["Name"]}
    taken = []
    for wheel in sorted(wheels.glob("*.whl")):
        if normal(wheel.name.partition("-")[0]) not in present:
            with zipfile.ZipFile(wheel) as archive:
                archive.extractall(target)
            taken.append(wheel.name.partition("-")[0])
    print(f"from the kit's wheels: {', '.join(taken) or 'none'}", file=sys.stderr)


if __name__ == "__main__":
    main()
