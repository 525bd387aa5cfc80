"""put_new creates a name once, whole, for everyone in the group, or says why it cannot."""

from __future__ import annotations

import errno
import os
import stat
import threading
from pathlib import Path

import pytest

from optathlon.results import StoreError, put_new
from optathlon.results.store import files as files_module
from optathlon.results.store.files import exists, names, open_to_read, read, replace
from tests import file_deeds, odd_files


@pytest.fixture
def private_umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_creates_with_its_folders_and_leaves_nothing_else(tmp_path):
    path = tmp_path / "a/b/c.json"
    assert put_new(path, b"one")
    assert path.read_bytes() == b"one"
    assert os.listdir(path.parent) == ["c.json"]
    assert path.stat().st_nlink == 1


def test_every_folder_in_which_a_name_is_new_is_on_disk_before_it_returns(tmp_path, monkeypatch):
    synced = []
    sync = files_module.sync
    monkeypatch.setattr(files_module, "sync", lambda folder: synced.append(folder) or sync(folder))
    put_new(tmp_path / "a/b/c.json", b"one")
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]


@pytest.mark.parametrize(("write", "named"), [(put_new, "link"), (replace, "rename")])
def test_bytes_are_on_disk_before_they_have_their_name_and_the_name_before_it_returns(
    write, named, tmp_path, monkeypatch
):
    deeds = file_deeds.noted(monkeypatch)
    write(tmp_path / "a", b"one")
    synced, renamed, durable = [deed for deed in deeds if not deed.startswith("remove")]
    assert synced.startswith("sync .a.")
    assert (renamed, durable) == (f"{named} a", f"sync {tmp_path.name}/")


def test_does_not_touch_what_is_there(tmp_path):
    path = tmp_path / "a"
    put_new(path, b"one")
    assert not put_new(path, b"two")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["a"]


def test_of_many_callers_one_creates(tmp_path):
    for round_number in range(20):
        start, won = threading.Barrier(8), []

        def call(number: int, path: Path = tmp_path / str(round_number), start=start, won=won) -> None:
            start.wait()
            if put_new(path, str(number).encode()):
                won.append(number)

        threads = [threading.Thread(target=call, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(won) == 1
        assert (tmp_path / str(round_number)).read_text() == str(won[0])


def test_in_a_group_writable_root_all_is_group_writable_whatever_the_umask(tmp_path, private_umask):
    root = tmp_path / "shared"
    root.mkdir()
    root.chmod(0o2775)
    put_new(root / "records/ab/x.json", b"")
    replace(root / "index.jsonl", b"")
    for folder in (root / "records", root / "records/ab"):
        assert mode(folder) & 0o070 == 0o070
        assert mode(folder) & stat.S_ISGID
    assert mode(root / "records/ab/x.json") & 0o060 == 0o060
    assert mode(root / "index.jsonl") & 0o060 == 0o060


def test_in_a_private_root_all_is_private(tmp_path, private_umask):
    root = tmp_path / "mine"
    root.mkdir()
    put_new(root / "records/x.json", b"")
    assert mode(root / "records") == 0o700
    assert mode(root / "records/x.json") == 0o600


def test_a_lost_reply_of_the_file_server_is_still_a_success(tmp_path, monkeypatch):
    link = os.link

    def link_and_lose_the_reply(source, target):
        link(source, target)
        raise FileExistsError(errno.EEXIST, "exists", target)

    monkeypatch.setattr(os, "link", link_and_lose_the_reply)
    assert put_new(tmp_path / "a", b"one")


def test_a_file_system_without_hard_links_is_said_to_be_one(tmp_path, monkeypatch):
    def refuse(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(StoreError, match="refuses hard links"):
        put_new(tmp_path / "a", b"one")
    assert os.listdir(tmp_path) == []


def test_a_full_disk_is_not_taken_for_missing_hard_links(tmp_path, monkeypatch):
    def refuse(source, target):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", refuse)
    with pytest.raises(OSError, match="No space left"):
        put_new(tmp_path / "a", b"one")
    assert os.listdir(tmp_path) == []


def stale(times: int, action):
    """`action`, failing with ESTALE the first `times` times."""
    left = [times]

    def attempt(*args, **kwargs):
        if left[0]:
            left[0] -= 1
            raise OSError(errno.ESTALE, "Stale file handle")
        return action(*args, **kwargs)

    return attempt


def test_a_stale_handle_is_tried_again(tmp_path, monkeypatch):
    (tmp_path / "a").write_bytes(b"one")
    for name, ask in (("open", lambda: read(tmp_path / "a")), ("stat", lambda: exists(tmp_path / "a"))):
        with monkeypatch.context() as patch:
            patch.setattr(os, name, stale(2, getattr(os, name)))
            assert ask() in (b"one", True)
    monkeypatch.setattr(os, "listdir", stale(2, os.listdir))
    assert names(tmp_path) == ["a"]


def test_a_handle_that_stays_stale_is_an_error_not_an_absence(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "stat", stale(99, os.stat))
    monkeypatch.setattr(files_module.time, "sleep", lambda _: None)
    with pytest.raises(OSError, match="Stale"):
        exists(tmp_path / "a")


def test_files_of_any_size_are_read_whole(tmp_path):
    for size in (0, 1, 1 << 14, (1 << 14) + 1, 300_001):
        data = os.urandom(size)
        (tmp_path / "a").write_bytes(data)
        assert read(tmp_path / "a") == data
    assert read(tmp_path / "none") is None


@pytest.mark.parametrize("write", [put_new, replace])
def test_what_has_its_name_is_written_also_where_the_temporary_file_cannot_be_removed(write, tmp_path, monkeypatch):
    def broken(path, *_):
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(Path, "unlink", broken)
    write(tmp_path / "a", b"one")
    assert (tmp_path / "a").read_bytes() == b"one"


@pytest.mark.parametrize("kind", odd_files.KINDS)
@pytest.mark.parametrize("reader", [read, open_to_read])
def test_only_files_are_read_and_nothing_is_waited_for(reader, kind, tmp_path):
    descriptors = set(os.listdir("/proc/self/fd"))
    with odd_files.in_place_of(tmp_path / "a", kind), pytest.raises(StoreError, match="a: is not a file"):
        reader(tmp_path / "a")
    assert set(os.listdir("/proc/self/fd")) <= descriptors


def test_a_pipe_into_which_nobody_writes_is_not_waited_for(tmp_path):
    path, said = tmp_path / "a", list[str]()

    def look():
        with pytest.raises(StoreError) as caught:
            read(path)
        said.append(str(caught.value))

    assert not odd_files.waits_for(look, path)
    assert said == [f"{path}: is not a file; move it away"]
