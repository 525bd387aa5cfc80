"""How much a sweep trains, from its file and the tasks' descriptions alone: nothing is measured or asked of a store."""

from __future__ import annotations

from collections import Counter

import msgspec

from optathlon.suite.planning.sweep import Sweep


class SweepSize(msgspec.Struct, frozen=True, kw_only=True):
    """What all runs of a sweep come to; with looks at the seeds, at most."""

    runs: int
    lengths: dict[str, int]
    """Epochs and steps of all runs together, by the unit that tasks count in."""

    def __str__(self) -> str:
        return " + ".join(f"{length:,} {unit}" for unit, length in self.lengths.items())


def size(sweep: Sweep) -> SweepSize:
    """Returns the number of runs and the sum of their protocols' lengths.

    A cell (task, optimizer) of S settings has S × report runs; with tuning, S × tune + report, as one setting is
    reported per seed. Each is as long as the task's protocol with the sweep's and the optimizer's changes.
    """
    tune, report = len(sweep.seeds.tune), len(sweep.seeds.report)
    runs, lengths = 0, Counter[str]()
    for task in sweep.tasks:
        problem = sweep.protocol_of(task)
        for entry in sweep.entries_on(task):
            settings = len(sweep.settings(entry, task)) * len(entry.schedules)
            of_cell = settings * tune + report if tune else settings * report
            protocol = problem.override(entry.protocol)
            runs += of_cell
            lengths[protocol.unit] += of_cell * protocol.length
    return SweepSize(runs=runs, lengths=dict(lengths))
