"""Energy counters of the machine: NVML's of a GPU, the kernel's (RAPL) of the CPU packages."""

from __future__ import annotations

import contextlib
import ctypes
import re
import time
from collections.abc import Callable
from pathlib import Path

import torch

POWERCAP = Path("/sys/class/powercap")

NVML = "libnvidia-ml.so.1"

WATTS = 1000.0
"""More than a CPU package draws: what its counter holds at this power says how often it must be read."""


class Energy:
    """Joules since it was made: of this process's GPU, and of all CPU packages with whatever else they worked on."""

    def __init__(self, device: torch.device, powercap: Path = POWERCAP) -> None:
        self._gpu = _gpu_counter(device)
        self._gpu_before = None if self._gpu is None else self._gpu()
        self._packages = [_Package(folder) for folder in _package_folders(powercap)]

    def read(self) -> None:
        """Look at the counters that begin anew when they are full; to be called every few seconds."""
        for package in self._packages:
            package.read()

    def report(self) -> dict[str, float]:
        """Joules by "gpu" and "cpu_packages", each only where the machine tells it."""
        joules = {}
        if self._gpu is not None and self._gpu_before is not None and (now := self._gpu()) is not None:
            joules["gpu"] = round(now - self._gpu_before, 3)
        self.read()
        packages = [package.joules for package in self._packages]
        if packages and None not in packages:
            joules["cpu_packages"] = round(sum(filter(None, packages)), 3)
        return joules


class _Package:
    """The counter of one CPU package, in microjoules, which begins anew after minutes of work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.joules: float | None = 0.0
        """None once a round of the counter may have been missed, or it cannot be read."""
        self._range = self._number("max_energy_range_uj")
        self._before, self._at = self._number("energy_uj"), time.monotonic()

    def read(self) -> None:
        before, began = self._before, self._at
        self._before, self._at = self._number("energy_uj"), time.monotonic()
        if self.joules is None or self._before is None or before is None or self._range is None:
            self.joules = None
            return
        unseen = (self._at - began) * WATTS > self._range / 1e6
        self.joules = None if unseen else self.joules + (self._before - before) % self._range / 1e6

    def _number(self, name: str) -> int | None:
        try:
            return int((self.folder / name).read_text())
        except (OSError, ValueError):
            return None


def _package_folders(powercap: Path) -> list[Path]:
    """The zones of whole CPU packages: neither parts of them nor the whole platform, nor a package's second counter.
    None of them where a zone does not say what it is, as the others would not be all."""
    with contextlib.suppress(OSError):
        zones = [folder for folder in powercap.iterdir() if re.fullmatch(r"intel-rapl:\d+", folder.name)]
        return [folder for folder in zones if (folder / "name").read_text().startswith("package")]
    return []


def _gpu_counter(device: torch.device) -> Callable[[], float | None] | None:
    """A function that reads the joules a GPU has used since its driver was loaded; None where NVML does not tell them.

    By the driver's own library, so that no package has to be installed.
    """
    if device.type != "cuda":
        return None
    try:
        nvml = ctypes.CDLL(NVML)
        handle = ctypes.c_void_p()
        name = f"GPU-{torch.cuda.get_device_properties(device).uuid}".encode()
        if nvml.nvmlInit_v2() or nvml.nvmlDeviceGetHandleByUUID(name, ctypes.byref(handle)):
            return None
    except (OSError, AttributeError):
        return None

    def joules() -> float | None:
        millijoules = ctypes.c_ulonglong()
        failed = nvml.nvmlDeviceGetTotalEnergyConsumption(handle, ctypes.byref(millijoules))
        return None if failed else millijoules.value / 1e3

    return joules
