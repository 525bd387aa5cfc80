"""One torch thread a process: two on two busy cores make a step ten times slower."""

import gc
import os
import sys

import hypothesis
import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # tables of tests are of any width

from optathlon.suite import user_modules

hypothesis.settings.register_profile("any machine", deadline=None)
hypothesis.settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """What tests import stays to the end: where they are compiled first, the cycle collector took a fourth of the time
    to look through it again and again."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.fixture(autouse=True)
def no_module_of_a_test_is_found_by_the_next():
    """A sweep file puts its folder on the path for the rest of its process; a test's shares its process with others."""
    named = user_modules._named
    path, finders, folders, names = list(sys.path), list(sys.meta_path), list(named.folders), set(named.names)
    yield
    sys.path[:], sys.meta_path[:], named.folders[:], named.names = path, finders, folders, names
