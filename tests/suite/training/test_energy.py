"""The kernel's energy counters, as files in the layout of /sys/class/powercap; a GPU's where there is one."""

from __future__ import annotations

import ctypes
import subprocess
from types import SimpleNamespace

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


def test_whole_packages_are_added_once_and_neither_their_parts_nor_the_platform(tmp_path):
    (tmp_path / "intel-rapl").mkdir()
    first = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    second = zone(tmp_path, "intel-rapl:1", "package-1", 0)
    others = [zone(tmp_path, "intel-rapl:0:0", "dram", 0), zone(tmp_path, "intel-rapl:2", "psys", 0)]
    others.append(zone(tmp_path, "intel-rapl-mmio:0", "package-0", 0))
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


@pytest.mark.parametrize("content", ["", "no number", None])
def test_of_several_packages_one_that_cannot_be_read_leaves_no_sum(content, tmp_path):
    """Most systems keep the counter from all but root."""
    first, second = (zone(tmp_path, f"intel-rapl:{n}", f"package-{n}", 0) for n in range(2))
    second.write_text(content) if content is not None else second.unlink()
    energy = Energy(CPU, tmp_path)
    first.write_text("500000")
    second.write_text("500000")
    assert energy.report() == {}


@pytest.mark.parametrize("file", ["name", "max_energy_range_uj"])
def test_a_package_that_does_not_say_all_of_itself_leaves_no_sum(file, tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0", 0)
    zone(tmp_path, "intel-rapl:1", "package-1", 0).with_name(file).unlink()
    assert Energy(CPU, tmp_path).report() == {}


def test_what_was_missed_once_is_missed_for_good(tmp_path):
    counter = zone(tmp_path, "intel-rapl:0", "package-0", 0)
    energy = Energy(CPU, tmp_path)
    counter.unlink()
    energy.read()
    counter.write_text("500000")
    energy.read()
    assert energy.report() == {}


def test_a_machine_without_counters_tells_nothing(tmp_path):
    assert Energy(CPU, tmp_path / "none").report() == {}


UUID = "6e0f7a52-0000-1111-2222-333344445555"

DRIVER = """
#include <string.h>
int works = 1, tells = 1;
unsigned long long millijoules = 1000000;
static int gpu;
int nvmlInit_v2(void) { return works ? 0 : 9; }
int nvmlDeviceGetHandleByUUID(const char *name, void **handle) {
    *handle = &gpu;
    return strcmp(name, "GPU-%s") ? 6 : 0;
}
int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *used) {
    *used = millijoules;
    return handle == &gpu && tells ? 0 : 3;
}
"""


@pytest.fixture
def driver(tmp_path, monkeypatch):
    """A library in place of the driver's, for a GPU with the number UUID."""
    (tmp_path / "driver.c").write_text(DRIVER % UUID)
    library = tmp_path / "libnvidia-ml.so.1"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "driver.c"], check=True)
    monkeypatch.setattr(module, "NVML", str(library))
    monkeypatch.setattr(module.torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=UUID))
    return ctypes.CDLL(str(library))


def turn(driver, name, value):
    kind = ctypes.c_ulonglong if name == "millijoules" else ctypes.c_int
    kind.in_dll(driver, name).value = value


def told(folder, device="cuda"):
    return Energy(torch.device(device), folder / "none")


def test_a_gpu_tells_what_it_used_since(driver, tmp_path):
    energy = told(tmp_path)
    assert energy.report() == {"gpu": 0.0}
    turn(driver, "millijoules", 1_002_500)
    assert energy.report() == {"gpu": 2.5}
    assert told(tmp_path, "cpu").report() == {}


@pytest.mark.parametrize("first", ["works", "tells"])
def test_a_driver_that_does_not_tell_is_not_believed(driver, first, tmp_path):
    turn(driver, first, 0)
    energy = told(tmp_path)
    turn(driver, first, 1)
    assert energy.report() == {}


def test_a_driver_that_tells_no_longer_is_not_believed(driver, tmp_path):
    energy = told(tmp_path)
    turn(driver, "tells", 0)
    assert energy.report() == {}


def test_another_gpu_is_not_ours(driver, monkeypatch, tmp_path):
    monkeypatch.setattr(module.torch.cuda, "get_device_properties", lambda _: SimpleNamespace(uuid=UUID[::-1]))
    assert told(tmp_path).report() == {}


@pytest.mark.parametrize("library", ["libno-driver-here.so.1", "libc.so.6"])
def test_where_no_library_tells_nothing_is_told(driver, monkeypatch, library, tmp_path):
    monkeypatch.setattr(module, "NVML", library)
    assert told(tmp_path).report() == {}


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_tells_what_it_used():
    energy = Energy(torch.device("cuda"))
    a = torch.rand(4096, 4096, device="cuda")
    for _ in range(200):
        a = a @ a / 4096
    torch.cuda.synchronize()
    assert energy.report().get("gpu", 1.0) > 0
