"""What an attempt costs: time per update and the optimizer's share of it, throughput, memory, energy."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from typing import Any

import torch

from optathlon.suite.training.energy import Energy
from optathlon.suite.training.team import Team
from optathlon.suite.training.update_timer import DeviceClock, HostClock, UpdateTimer


class CostMeter:
    """Measures what this process spends on an attempt, from when it is made. updating: seconds spent in updates, with
    waiting for their data, without evaluations and checkpoints."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.timer = UpdateTimer(DeviceClock(device) if device.type == "cuda" else HostClock())
        self.energy = Energy(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def report(self, team: Team, updating: float) -> dict[str, Any]:
        """The cost of the attempt on all processes of `team`, each of which must call this; see `combined`."""
        self.timer.finish()
        timer, spent = self.timer, {"host": platform.node(), "energy": self.energy.report()}
        spent |= {"updates": timer.updates, "samples": timer.samples, "updating": updating}
        spent |= {"timed": timer.timed, "seconds": timer.seconds, "optimizer_seconds": timer.optimizer_seconds}
        if self.device.type == "cuda":
            spent["gpu_memory"] = torch.cuda.max_memory_allocated(self.device)
        return combined(team.all(spent))


def combined(processes: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What `provenance.cost` of a record says; left out is what the attempt or the machine does not tell.

    updates, updates_per_second, samples_per_second, seconds_per_update: of this attempt, by the first process's clock,
        with waiting for data, without evaluations and checkpoints; samples as the workload counts them (for texts,
        tokens).
    timed_updates: the sample of them on which timed_seconds_per_update (without waiting for data) and
        optimizer_share, the optimizer's part of that, were measured.
    peak_gpu_memory_mb: of the process that took most, MiB of tensors.
    energy_joules: "gpu", of all GPUs of the run; "cpu_packages", of the whole packages of its machines.
    """
    first = processes[0]
    cost: dict[str, Any] = {"updates": first["updates"]}
    if first["updates"] and first["updating"] > 0:
        cost["seconds_per_update"] = _digits(first["updating"] / first["updates"])
        cost["updates_per_second"] = _digits(first["updates"] / first["updating"])
        cost["samples_per_second"] = _digits(first["samples"] / first["updating"])
    if first["seconds"] > 0:
        cost["timed_updates"] = first["timed"]
        cost["timed_seconds_per_update"] = _digits(first["seconds"] / first["timed"])
        cost["optimizer_share"] = _digits(first["optimizer_seconds"] / first["seconds"])
    if memory := [process["gpu_memory"] for process in processes if "gpu_memory" in process]:
        cost["peak_gpu_memory_mb"] = round(max(memory) / 2**20, 1)
    if joules := _energy(processes):
        cost["energy_joules"] = joules
    return cost


def _energy(processes: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Each process has its own GPU; the packages are their host's, told by each process on it."""
    hosts = {process["host"]: process for process in reversed(processes)}
    joules = {"gpu": [p["energy"].get("gpu") for p in processes]}
    joules["cpu_packages"] = [p["energy"].get("cpu_packages") for p in hosts.values()]
    return {name: round(sum(parts), 3) for name, parts in joules.items() if None not in parts}


def _digits(value: float) -> float:
    return float(f"{value:.4g}")
