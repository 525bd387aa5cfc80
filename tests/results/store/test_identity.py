"""A copied store is another store: what is at work in the original is nobody's here."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from optathlon.results import Store, this_process
from optathlon.results.store import identity as identity_module
from optathlon.results.store.identity import identity, is_own
from tests.results.make import run_id

RUN = run_id("a run")
COPIES = {
    "cp -a": lambda a, b: subprocess.run(["cp", "-a", a, b], check=True),
    "cp -al, by hard links": lambda a, b: subprocess.run(["cp", "-al", a, b], check=True),
    "shutil": lambda a, b: shutil.copytree(a, b),
}


@pytest.fixture
def store(tmp_path):
    """One with a submission and a run that this process is at."""
    store = Store(tmp_path / "store")
    store.put_submission("sweep", {"plan": 1})
    assert store.claim(RUN, this_process())
    return store


@pytest.mark.parametrize("copy", COPIES)
def test_a_copy_notices_that_it_is_one(copy, store, tmp_path):
    COPIES[copy](store.root, tmp_path / "copy")
    assert identity(tmp_path / "copy") != identity(store.root) != ""


@pytest.mark.parametrize("copy", COPIES)
def test_what_runs_in_the_original_is_free_in_a_copy(copy, store, tmp_path):
    """At once: the copied sign of life is the original's, although its process lives on this very machine."""
    COPIES[copy](store.root, tmp_path / "copy")
    copied = Store(tmp_path / "copy")
    assert store.states([RUN])[RUN].kind == "running"
    assert copied.states([RUN])[RUN].kind == "stopped"
    assert store.claim(RUN, this_process()) is None
    assert copied.claim(RUN, this_process()) is not None
    assert copied.states([RUN])[RUN].kind == "running"


def test_submissions_are_those_of_the_store_that_made_them(store, tmp_path):
    shutil.copytree(store.root, tmp_path / "copy")
    copied = Store(tmp_path / "copy")
    assert copied.own_submissions("sweep") == []
    copied.put_submission("sweep", {"plan": 2})
    assert [(at, found["plan"]) for at, found in copied.own_submissions("sweep")] == [(1, 2)]
    assert [(at, found["plan"]) for at, found in store.own_submissions("sweep")] == [(0, 1)]


def test_a_store_that_is_moved_or_reached_by_another_path_stays_itself(store, tmp_path):
    before = identity(store.root)
    (tmp_path / "link").symlink_to(store.root)
    assert identity(tmp_path / "link") == before
    os.rename(store.root, tmp_path / "moved")
    assert is_own(before, tmp_path / "moved")
    assert Store(tmp_path / "moved").states([RUN])[RUN].kind == "running"


def remounted(monkeypatch):
    """As if the file system were mounted anew, and numbered its files anew."""
    genuine = os.stat

    def renumbered(path, *args, **how):
        status = list(genuine(path, *args, **how))
        status[1] += 1000  # the inode
        return os.stat_result(status)

    monkeypatch.setattr(identity_module.os, "stat", renumbered)


def test_a_store_on_a_file_system_that_numbers_its_files_anew_stays_itself(store, monkeypatch):
    """FUSE and SMB may give other inodes after each mount."""
    before = identity(store.root)
    with monkeypatch.context() as patched:
        remounted(patched)
        assert identity(store.root) != before
        assert is_own(before, store.root)
        assert store.states([RUN])[RUN].kind == "running"
        assert store.claim(RUN, this_process()) is None
        assert [found["plan"] for _, found in store.own_submissions("sweep")] == [1]


def test_a_copy_at_the_same_path_of_another_machine_is_another_store(store, monkeypatch):
    """Its disk has another number."""
    before, genuine = identity(store.root), os.statvfs
    remounted(monkeypatch)

    class Elsewhere:
        f_fsid = genuine(store.root).f_fsid + 1

    monkeypatch.setattr(identity_module.os, "statvfs", lambda _: Elsewhere)
    assert not is_own(before, store.root)


def test_identities_of_older_versions_are_understood(store):
    word, inode, root, _ = identity(store.root).split("-")
    assert is_own(f"{word}-{inode}-{root}", store.root)
    assert not is_own(f"{word}-{inode}-{root}1", store.root)
    assert not is_own(word, store.root)
    assert not is_own("", store.root)


@pytest.mark.parametrize("content", [b"a-b-c-d-e\n", b"\xff\xfe", b"", b"x" * 5000])
def test_whatever_stands_in_the_file_can_be_compared(content, tmp_path):
    (tmp_path / "identity").write_bytes(content)
    assert is_own(identity(tmp_path), tmp_path)
    assert not is_own("0123456789abcdef-1-2-3", tmp_path)


def test_reading_gives_no_store_an_identity(tmp_path):
    assert identity(tmp_path) == ""
    assert Store(tmp_path).states([RUN])[RUN].kind == "waiting"
    assert list(tmp_path.iterdir()) == []


def test_submissions_of_versions_without_identities_are_the_stores_own(tmp_path):
    store = Store(tmp_path)
    path = store.put_submission("sweep", {"plan": 1})
    path.write_text('{"plan": 1}\n')
    assert [found["plan"] for _, found in store.own_submissions("sweep")] == [1]
