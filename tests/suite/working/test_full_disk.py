"""A disk that is full at the end of an attempt, or for its log, is told in a line; the outcome stands."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from optathlon.results import Store, this_process
from optathlon.suite.main import main
from optathlon.suite.working import log
from optathlon.suite.working.execute import execute
from tests import odd_files
from tests.suite.sweeps import environment
from tests.suite.training.runs import run_of

RUN = run_of("sgd", protocol={"length": 1})


def full(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device", "ended-0001.json")


@pytest.mark.parametrize(("stop", "kind"), [(False, "finished"), (True, "stopped")])
def test_an_end_that_cannot_be_written_down_is_said(stop, kind, tmp_path, monkeypatch):
    store, lines = Store(tmp_path), []
    attempt = store.claim(RUN.id, this_process())
    assert attempt is not None
    monkeypatch.setattr(Store, "end", full)
    device = torch.device("cpu")
    assert execute(store, RUN, attempt, tmp_path, stop=lambda: stop, device=device, say=lines.append).kind == kind
    assert (store.record(RUN.id) is not None) == (kind == "finished")
    (line,) = lines
    assert line.startswith(f"how this attempt ended ({kind}")
    assert line.endswith("could not be written down: [Errno 28] No space left on device: 'ended-0001.json'")


def test_a_log_that_cannot_be_made_leaves_the_output_where_it_was(tmp_path, monkeypatch, capfd):
    with monkeypatch.context() as patched:
        patched.setattr(os, "open", full)
        log.redirect_output(tmp_path / "log-0001.txt")
    print("still here")
    said = capfd.readouterr()
    assert "log-0001.txt: No space left on device; what the run prints is found here" in said.err
    assert said.out == "still here\n"


def test_a_pipe_in_place_of_a_log_is_not_waited_for(tmp_path, capfd):
    path = tmp_path / "log-0001.txt"
    assert not odd_files.waits_for(lambda: log.redirect_output(path), path)
    assert "log-0001.txt: No such device or address; what the run prints is found here" in capfd.readouterr().err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_log_without_room_ends_nobody_and_its_lines_go_where_the_process_printed_before(tmp_path):
    code = (
        "import os; from pathlib import Path; from optathlon.suite.working.log import redirect_output, say\n"
        "redirect_output(Path('/dev/full')); say('of the run')\n"
        "os._exit(7)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 7
    assert done.stderr.endswith("Z of the run\n")


@pytest.mark.parametrize(
    ("blocks", "files", "of", "is_full"),
    [(0, 9, 99, True), (9, 0, 99, True), (9, 9, 99, False), (9, 0, 0, False)],
    ids=["no room", "no more files", "neither", "files are not counted"],
)
def test_status_says_that_the_disk_of_a_store_is_full(blocks, files, of, is_full, tmp_path, monkeypatch, capsys):
    room = os.statvfs(tmp_path)
    free = SimpleNamespace(f_bavail=blocks, f_favail=files, f_files=of, f_fsid=room.f_fsid)
    monkeypatch.setattr(os, "statvfs", lambda _: free)
    assert main(["status", "--store", str(tmp_path)]) == 0
    assert (f"the disk of {tmp_path} is full" in capsys.readouterr().err) is is_full
