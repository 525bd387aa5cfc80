"""Strikes the suite at its file calls, feeds it damaged files and moves its clocks; counts, and says what broke.

python -m tests.torture [--most N] [--rounds N] [--parts runs stops stores data clocks files disks]

Exits with 1 if a rule was broken; Ctrl-C ends it with what was counted so far. It preloads a library of its own into
itself, for which it needs a C compiler.
"""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.torture import shim

PARTS = ("runs", "stops", "stores", "data", "clocks", "files", "disks")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--most", type=int, help="file calls that are struck in each way (default: every one)")
    parser.add_argument("--rounds", type=int, default=500, help="damages of each kind of file")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if shim.is_loaded():
            return torture(Path(folder), options)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other process hears it, and tells what it counted
        done = shim.start(*sys.argv[1:], folder=Path(folder), quiet=False)
        print(done.stdout, end="")
        return done.returncode


def torture(folder: Path, options: argparse.Namespace) -> int:
    # After the library is there: these import torch.
    from tests.suite.training.runs import run_of
    from tests.torture import clocks, data_sets, full_disk, fuzz, runs, stops, stores
    from tests.torture.tally import Tally

    signal.signal(signal.SIGINT, signal.default_int_handler)
    run = run_of("sgd", protocol={"length": 2})
    begun, tally = time.monotonic(), Tally()
    parts = {
        "runs": lambda place: runs.torture(run, place, tally, options.most),
        "stops": lambda place: stops.torture(run, place, tally, options.most),
        "stores": lambda place: stores.torture(place, tally, options.most),
        "data": lambda place: data_sets.torture(place, tally, options.most),
        "clocks": lambda place: clocks.torture(run, place, tally, options.most),
        "disks": lambda place: full_disk.torture(run, place, tally, options.most),
        "files": lambda place: fuzz.torture(run, place, tally, options.rounds),
    }
    part = ""
    try:
        for part in options.parts:
            (place := folder / part).mkdir()  # no part may meet the data that another has damaged
            parts[part](place)
    except KeyboardInterrupt:  # hours of counting are worth a table
        print(f"interrupted in the part {part!r}")
    print(tally.table())
    print(f"\n{len(tally.broken)} rules broken, in {time.monotonic() - begun:.0f} s")
    return 1 if tally.broken else 0


if __name__ == "__main__":
    sys.exit(main())
