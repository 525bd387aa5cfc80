"""Python's cycle collector is off while many objects are made, and afterwards as it was."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from optathlon.results.collector import without_collection

MADE = """
import gc
from optathlon.results.collector import MANY, without_collection
{before}
with without_collection():
    made = [[] for _ in range(2 * MANY)]
print(any(other is made[-1] for other in gc.get_objects(generation=2)), gc.get_freeze_count() > 0, gc.isenabled())
"""


@pytest.mark.parametrize(
    ("before", "old", "frozen"),
    [("", True, False), ("gc.freeze()", False, True)],
    ids=["usually", "a user has frozen others"],
)
def test_what_is_made_within_is_old_at_once_unless_that_would_unfreeze_what_a_user_has_frozen(before, old, frozen):
    # In a process of its own, as the tests' objects are frozen.
    command = [sys.executable, "-c", MADE.format(before=before)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.split() == [str(old), str(frozen), "True"]


def test_the_collector_is_off_within_and_on_again_afterwards():
    with without_collection():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_collector_that_was_off_stays_off():
    gc.disable()
    try:
        with without_collection():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
