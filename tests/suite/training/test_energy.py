"""The kernel's energy counters, as files in the layout of /sys/class/powercap; a GPU's where there is one."""

from __future__ import annotations

import pytest
import torch

from optathlon.suite.training import energy as module
from optathlon.suite.training.energy import Energy

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    """Stands still until a test turns it: the counters here go round in a tenth of a second (100 J at 1,000 W)."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def zone(powercap, name, label, microjoules, most=100_000_000):
    folder = powercap / name
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in (("name", label), ("energy_uj", microjoules), ("max_energy_range_uj", most)):
        (folder / file).write_text(f"{content}\n")
    return folder / "energy_uj"


def test_whole_packages_are_added_and_neither_their_parts_nor_the_platform(tmp_path):
    first = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    others = [zone(tmp_path, "intel-rapl:0:0", "dram", 0), zone(tmp_path, "intel-rapl:2", "psys", 0)]
    energy = Energy(CPU, tmp_path)
    first.write_text("7500000")
    second.write_text("1000000")
    for other in others:
        other.write_text("9000000")
    assert energy.report() == {"cpu_packages": 3.5}


def test_a_counter_that_begins_anew_goes_on(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 99_000_000, most=99_999_999)
    energy = Energy(CPU, tmp_path)
    counter.write_text("500000")
    energy.read()
    counter.write_text("1500000")
    assert energy.report() == {"cpu_packages": 2.5}


def test_a_counter_that_may_have_gone_round_unseen_tells_nothing(tmp_path, clock):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    energy = Energy(CPU, tmp_path)
    clock[0] += 1.0
    counter.write_text("500000")
    assert energy.report() == {}


@pytest.mark.parametrize("content", ["", "no number"])
def test_a_counter_that_cannot_be_read_later_tells_nothing(content, tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    energy = Energy(CPU, tmp_path)
    counter.write_text(content)
    assert energy.report() == {}


def test_a_machine_without_counters_tells_nothing(tmp_path):
    assert Energy(CPU, tmp_path / "none").report() == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_tells_what_it_used():
    energy = Energy(torch.device("cuda"))
    a = torch.rand(4096, 4096, device="cuda")
    for _ in range(200):
        a = a @ a / 4096
    torch.cuda.synchronize()
    assert energy.report().get("gpu", 1.0) > 0
