"""What all tests share: one torch thread per process, slots of their own, and no module that another test left."""

import atexit
import gc
import os
import random
import shutil
import sys
import tempfile

import hypothesis
import pytest
from hypothesis.internal.conjecture import providers

# Two threads on two busy cores make a step ten times slower.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.pop("COLUMNS", None)  # tables of tests are of any width

# A machine's slots are shared by all its sweeps on purpose. A test must wait neither for a real sweep nor for a test of
# another session that failed and left a worker. The processes of one session (pytest-xdist's) share their slots.
if "PYTEST_XDIST_WORKER" not in os.environ:
    session = tempfile.mkdtemp(prefix="optathlon-tests-")
    os.environ["OPTATHLON_SLOTS"] = os.path.join(session, "optathlon-slots")
    os.environ["OPTATHLON_MINIATURES"] = os.path.join(session, "miniatures")  # of tests/miniatures.py
    session_pid = os.getpid()

    @atexit.register
    def remove_what_the_processes_of_this_session_shared() -> None:
        if os.getpid() == session_pid:  # and not in a process that a test forks
            shutil.rmtree(session, ignore_errors=True)


from optathlon.suite import user_modules
from tests.groups import group_of, process_per_group

# The same examples each time, however long they take to be made.
hypothesis.settings.register_profile(
    "any machine",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("any machine")
# Nor do they depend on what was imported before: hypothesis would draw constants that stand in our modules, too, and
# parse all of them for that in each process.
providers._get_local_constants = lambda: providers._local_constants


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


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup():
    """What a test draws without a seed of its own does not depend on the tests before it."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.manual_seed(0)


@pytest.fixture
def hold(tmp_path, monkeypatch):
    """A file. While it is there, runs of the toy task that are started from here are held after their first epoch."""
    file = tmp_path / "hold"
    file.touch()
    monkeypatch.setenv("TOY_HOLD", str(file))
    yield file
    file.unlink(missing_ok=True)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items):
    """Groups that one process goes through alone come first: at the end the other processes would wait for it."""
    items.sort(key=lambda item: group_of(item.nodeid) is None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    return process_per_group(config, log) if config.getvalue("dist") in ("loadgroup", "loadfile") else None


@pytest.fixture(autouse=True)
def no_module_of_a_test_is_found_by_the_next():
    """A sweep file puts its folder on the path for the rest of its process; a test's shares its process with others."""
    named = user_modules._named
    path, finders, folders, names = list(sys.path), list(sys.meta_path), list(named.folders), set(named.names)
    yield
    sys.path[:], sys.meta_path[:], named.folders[:], named.names = path, finders, folders, names
