"""Compiled kernels are made once, kept under a digest, and made again where what is kept is not whole."""

import errno
import os
import subprocess
import textwrap
import unittest
import unittest.mock
from pathlib import Path

import pytest
import torch

from optathlon.optimizers.kernels import kernel_cache
from optathlon.optimizers.rules.adamp import AdamP
from tests.suite import command_server

STEP = textwrap.dedent(
    """
    import torch
    from optathlon.optimizers.rules.adamp import AdamP
    weight = torch.ones(40, 40, requires_grad=True)
    weight.grad = torch.ones_like(weight)
    optimizer = AdamP([weight], fused=True)
    optimizer.step()
    print(optimizer.implementations())
    """
)


@pytest.fixture
def compiled():
    if kernel_cache.load().library is None:
        pytest.skip("nothing compiles here")


@pytest.fixture
def fresh(tmp_path, monkeypatch):
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path))
    kernel_cache.load.cache_clear()
    yield tmp_path
    kernel_cache.load.cache_clear()


@pytest.fixture
def quick_compiler(compiled, tmp_path_factory, monkeypatch):
    """Instead of compiling for seconds, hands out what is compiled already."""
    real = kernel_cache.load().library
    script = tmp_path_factory.mktemp("compiler") / "c++"
    refusal = 'case "$*" in *$REFUSED*) echo "unknown argument: $REFUSED" >&2; exit 1;; esac'
    script.write_text(f'#!/bin/sh\n{refusal}\nfor output; do :; done\ncp "{real._name}" "$output"\n')
    script.chmod(0o755)
    monkeypatch.setenv("CXX", str(script))
    monkeypatch.setenv("REFUSED", "no flag")


def libraries(folder):
    return list(folder.glob("*.so"))


@pytest.mark.slow
def test_kernels_are_compiled_once_and_kept(compiled, fresh, monkeypatch):
    assert "compiled the fused optimizer kernels in" in kernel_cache.prepare()
    kept = libraries(fresh)
    monkeypatch.setattr(subprocess, "run", None)
    assert kernel_cache.prepare() == ""
    assert kernel_cache.load().library is not None
    assert libraries(fresh) == kept


@pytest.mark.parametrize("flag", ["-fprefetch-loop-arrays", "--param", "-fopenmp"])
def test_flags_that_a_compiler_does_not_know_are_left_out(quick_compiler, fresh, monkeypatch, flag):
    monkeypatch.setenv("REFUSED", flag)
    assert "compiled the fused optimizer kernels in" in kernel_cache.prepare()
    assert len(libraries(fresh)) == 1


def test_the_digest_beside_the_kernels_is_one_that_sha256sum_checks(quick_compiler, fresh):
    kernel_cache.prepare()
    (digest_file,) = fresh.glob("*.sha256")
    done = subprocess.run(["sha256sum", "-c", digest_file.name], cwd=fresh, capture_output=True, text=True, check=False)
    assert done.stdout == f"{libraries(fresh)[0].name}: OK\n"


def truncate(file):
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


DAMAGE = {
    "truncated": lambda folder: truncate(libraries(folder)[0]),
    "empty": lambda folder: libraries(folder)[0].write_bytes(b""),
    "gone": lambda folder: libraries(folder)[0].unlink(),
    "an empty digest": lambda folder: next(folder.glob("*.sha256")).write_bytes(b""),
    "a digest of bytes": lambda folder: next(folder.glob("*.sha256")).write_bytes(b"\xff\x00 /etc/passwd"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_kernels_are_made_again_and_kill_no_process(quick_compiler, fresh, damage):
    kernel_cache.prepare()
    damage(fresh)
    done = command_server.run_code(STEP, fresh, os.environ)
    assert (done.returncode, done.stdout) == (0, "{'fused (C++)': 1}\n"), done.stderr
    assert kernel_cache.prepare() == "", "what the child made is whole"


def killed_builder(folder, monkeypatch):
    """Leaves what a process leaves that is killed while its compiler works; returns those folders."""
    before = set(folder.iterdir())
    with monkeypatch.context() as patch:
        patch.setattr(kernel_cache, "_compile", lambda *_: os._exit(9))
        pid = os.fork()
        if pid == 0:
            kernel_cache.prepare()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    return [path for path in set(folder.iterdir()) - before if path.is_dir()]


def test_what_a_killed_builder_leaves_is_removed_by_the_next(quick_compiler, fresh, monkeypatch):
    (left,) = killed_builder(fresh, monkeypatch)
    assert list(left.glob("*.cpp"))
    kernel_cache.prepare()
    assert [path.suffix for path in sorted(fresh.iterdir())] == [".so", ".lock", ".sha256"]


@pytest.mark.parametrize("other", ["another machine", "no locks"])
def test_nothing_is_removed_that_a_living_builder_may_need(quick_compiler, fresh, monkeypatch, other):
    (left,) = killed_builder(fresh, monkeypatch)
    if other == "no locks":
        monkeypatch.setattr(kernel_cache.fcntl, "flock", unittest.mock.Mock(side_effect=OSError(errno.ENOLCK, "")))
    else:
        monkeypatch.setattr(kernel_cache.platform, "node", lambda: "another")
    kernel_cache.prepare()
    assert left.is_dir()
    assert libraries(fresh)


@pytest.mark.parametrize("how", ["no compiler", "a compiler that fails", "a folder that cannot be"])
def test_without_kernels_the_plain_implementation_runs_in_silence(fresh, monkeypatch, capfd, how):
    if how == "no compiler":
        monkeypatch.setenv("PATH", "")
        monkeypatch.delenv("CXX", raising=False)
    elif how == "a compiler that fails":
        monkeypatch.setenv("CXX", "false")
    else:
        (fresh / "file").write_text("")
        monkeypatch.setenv("OPTATHLON_CACHE", str(fresh / "file" / "below"))

    def step(fused):
        weight = torch.linspace(-1, 1, 12).view(3, 4).requires_grad_()
        weight.grad = torch.ones(3, 4)
        optimizer = AdamP([weight], lr=0.1, fused=fused)
        optimizer.step()
        return weight, optimizer

    with unittest.TestCase().assertLogs("optathlon.optimizers.kernels.kernel_cache") as log:
        (ours, optimizer), (plain, _) = step(fused=True), step(fused=False)
    assert torch.equal(ours, plain)
    assert optimizer.implementations() == {"loop": 1}
    assert capfd.readouterr() == ("", "")
    assert {record.levelname for record in log.records} == {"INFO"}, "Python shows warnings that nobody handles"
    assert any("plain implementation" in line for line in log.output)
    assert "no fused optimizer kernels on this CPU" in kernel_cache.prepare()


def test_a_user_without_a_home_needs_only_say_where_kernels_are_kept(tmp_path, monkeypatch):
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    for name in ("OPTATHLON_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError, match=r"this user has no home; OPTATHLON_CACHE=FOLDER says where to keep them"):
        kernel_cache.cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert kernel_cache.cache_folder() == tmp_path / "optathlon"
    monkeypatch.setenv("OPTATHLON_CACHE", str(tmp_path / "mine"))
    assert kernel_cache.cache_folder() == tmp_path / "mine"
