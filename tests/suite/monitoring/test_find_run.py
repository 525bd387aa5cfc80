"""Which run a word means."""

from __future__ import annotations

import pytest

from optathlon.suite.errors import UsageError
from optathlon.suite.monitoring import find_run
from tests.suite.stories import planned
from tests.suite.sweeps import TUNED


def test_a_run_is_found_by_the_beginning_of_its_id_or_its_label(store, tmp_path):
    plan = planned(tmp_path, TUNED, store)
    run = plan.runs[0]
    assert find_run.run(store, run.id) == find_run.run(store, run.id[:6]) == run.id
    adamw = next(r for r in plan.runs if r.row == "adamw")
    assert find_run.run(store, f"toy:TASK/adamw/s{adamw.seed}") == adamw.id
    with pytest.raises(UsageError, match=rf"is 2 runs, say which by its id: {run.id} \(tune, lr=0.1, "):
        find_run.run(store, "toy:TASK/sgd/s0")
    with pytest.raises(UsageError, match="there is no such run"):
        find_run.run(store, "toy:TASK/sgd/s9")
    with pytest.raises(UsageError, match="four or more first digits"):
        find_run.run(store, "sgd")
    with pytest.raises(UsageError, match="there is no such run"):
        find_run.run(store, "0123456789abcdef")
