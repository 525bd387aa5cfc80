"""One torch thread a process: two on two busy cores make a step ten times slower."""

import os
import sys

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")

USER_MODULES = "optathlon.suite.user_modules"


@pytest.fixture(autouse=True)
def no_module_of_a_test_is_found_by_the_next():
    """A sweep file puts its folder on the path for the rest of its process; a test's shares its process with others."""
    path, finders = list(sys.path), list(sys.meta_path)
    yield
    sys.path[:], sys.meta_path[:] = path, finders
    if USER_MODULES in sys.modules:
        sys.modules[USER_MODULES].forget()
