"""Write a small working file to begin with: optathlon new task spirals, optathlon new optimizer lookback."""

from __future__ import annotations

import argparse
import keyword
import re
import string
import sys
from importlib.machinery import PathFinder
from pathlib import Path

from optathlon.suite.console import say
from optathlon.suite.errors import UsageError

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
FILES = {"task": "task.py.txt", "optimizer": "optimizer.py.txt", "sweep": "sweep.toml.txt"}
NEXT = {
    "task": ("optathlon check $module:TASK", "optathlon run $module:TASK adamw lr=1e-2 --scale smoke"),
    "optimizer": (
        "optathlon check $module:$Class",
        "optathlon new task points && optathlon run points:TASK $module:$Class --scale smoke",
    ),
    "sweep": ("optathlon plan $file", "optathlon data standin mnist && optathlon launch $file"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("kind", choices=FILES)
    parser.add_argument("name", help="what it is to be called: spirals, my-optimizer")


def main(args: argparse.Namespace) -> int:
    words = _words(args.kind, args.name)
    text = (TEMPLATES / FILES[args.kind]).read_text(encoding="utf-8")
    path = Path(words["file"])
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(string.Template(text).substitute(words))
    except FileExistsError:
        raise UsageError(f"{path}: is there already; choose another name") from None
    except OSError:
        path.unlink(missing_ok=True)  # half of it, on a full disk
        raise
    say(f"written: {path}. Next:")
    for command in NEXT[args.kind]:
        say(f"  {string.Template(command).substitute(words)}")
    return 0


def _is_taken(module: str) -> bool:
    """Whether `import module` would be an error, or bring something else than a file of that name in this folder."""
    if keyword.iskeyword(module) or module in sys.stdlib_module_names or module == "optathlon":
        return True
    # Not importlib.util.find_spec, which also knows what this folder has and what was imported from it.
    installed = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    return PathFinder.find_spec(module, installed) is not None


def _words(kind: str, name: str) -> dict[str, str]:
    """What stands for the name in the file: in itself, as a module, as a class, and as the file's name."""
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise UsageError(f"{name!r}: must begin with a letter and have letters, digits, - and _ only: my-{kind}")
    module = name.lower().replace("-", "_")
    if kind != "sweep" and _is_taken(module):
        raise UsageError(f"{name!r}: a module cannot be called {module}; try my-{name}")
    parts = [part for part in re.split(r"[-_]", name) if part]
    return {
        "name": name,
        "module": module,
        "Class": "".join(part[0].upper() + part[1:] for part in parts),
        "file": f"{name}.toml" if kind == "sweep" else f"{module}.py",
    }
