"""Sweep files as plans."""

from __future__ import annotations

from optathlon.suite.planning import sweep_reader
from optathlon.suite.planning.plan import expand
from tests.suite.sweeps import SWEEP, write


def load(folder, text=SWEEP):
    return sweep_reader.load(write(folder, text))


def planned(folder, text=SWEEP):
    return expand(load(folder, text), folder / "data")
