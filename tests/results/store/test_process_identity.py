"""An owner is dead only where that can be proven."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from optathlon.results import provably_dead, this_process
from optathlon.results.store import process_identity as owner_module
from tests.waiting import wait_for

changed = msgspec.structs.replace
pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


@pytest.fixture
def sleeper():
    process = subprocess.Popen(["sleep", "600"])
    yield process
    process.kill()
    process.wait()


def owner_of(pid: int):
    return changed(this_process(), pid=pid, started=owner_module._started(pid))


def test_this_process_is_alive_and_described():
    owner = this_process("slurm-12", restart=2)
    assert (owner.pid, owner.job, owner.restart) == (os.getpid(), "slurm-12", 2)
    assert owner.host
    assert owner.boot
    assert owner.pid_namespace
    assert owner.started.isdigit()
    assert not provably_dead(owner)


def test_a_forked_child_is_another_owner():
    readable, writable = os.pipe()
    if (pid := os.fork()) == 0:
        os.write(writable, msgspec.json.encode(this_process()))
        os._exit(0)
    os.waitpid(pid, 0)
    child = msgspec.json.decode(os.read(readable, 4096), type=type(this_process()))
    assert child.pid == pid
    assert provably_dead(child)


def test_a_killed_process_is_dead_even_before_it_is_reaped(sleeper):
    owner = owner_of(sleeper.pid)
    assert not provably_dead(owner)
    sleeper.kill()
    wait_for(lambda: provably_dead(owner))
    assert sleeper.returncode is None
    sleeper.wait()
    assert provably_dead(owner)


def test_a_reused_process_id_is_not_the_owner(sleeper):
    assert provably_dead(changed(owner_of(sleeper.pid), started="12345"))


def test_a_host_that_booted_since_holds_no_owner():
    assert provably_dead(changed(this_process(), boot="another"))


@pytest.mark.parametrize(
    "unknown",
    [{"host": "elsewhere"}, {"pid_namespace": "a container"}, {"boot": ""}, {"pid": 0}, {"pid": -1}, {"started": ""}],
)
def test_what_cannot_be_seen_from_here_is_not_proven(sleeper, unknown):
    assert not provably_dead(changed(owner_of(sleeper.pid), **unknown))


def test_a_dead_pid_on_another_host_proves_nothing(sleeper):
    owner = changed(owner_of(sleeper.pid), host="elsewhere", boot="another")
    sleeper.kill()
    sleeper.wait()
    assert not provably_dead(owner)


def test_a_hidden_process_of_somebody_else_proves_nothing(sleeper, monkeypatch, tmp_path):
    """Under hidepid=2, /proc shows nothing of the processes of others, but kill(2) still finds them."""
    owner = owner_of(sleeper.pid)
    monkeypatch.setattr(owner_module, "_stat", lambda pid: [])
    assert not provably_dead(owner)


def test_without_proc_a_gone_process_is_still_seen_to_be_gone(sleeper, monkeypatch, tmp_path):
    monkeypatch.setattr(owner_module, "PROC", tmp_path)
    owner = changed(this_process(), pid=sleeper.pid)
    assert (owner.boot, owner.pid_namespace, owner.started) == ("", "", "")
    assert not provably_dead(owner)
    sleeper.kill()
    sleeper.wait()
    assert provably_dead(owner)
