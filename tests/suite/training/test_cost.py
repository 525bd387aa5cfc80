"""What a record says a run cost, on one process and on several."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch

from optathlon.results import Store, this_process
from optathlon.results.store.parquet import columns
from optathlon.suite.identity import Run
from optathlon.suite.training import energy
from optathlon.suite.training.cost import CostMeter, combined
from optathlon.suite.training.team import Team
from optathlon.suite.working.execute import execute
from tests.results.make import record
from tests.suite.training.runs import run_of


def process(**changes: Any) -> dict[str, Any]:
    told = {"host": "a", "energy": {}, "updates": 100, "samples": 6400, "updating": 20.0}
    return told | {"timed": 14, "seconds": 2.1, "optimizer_seconds": 0.3} | changes


RUNS = {name: run_of(name, lr=0.1) for name in ("sgd", "sam")}


def trained(run: Run, folder: Path) -> dict[str, Any]:
    store = Store(folder)
    attempt = store.claim(run.id, this_process())
    assert attempt is not None
    assert execute(store, run, attempt, folder, stop=lambda: False, device=torch.device("cpu")).kind == "finished"
    done = store.record(run.id)
    assert done is not None
    return done.provenance


def test_time_throughput_and_the_optimizers_share():
    assert combined([process()]) == {
        "updates": 100,
        "seconds_per_update": 0.2,
        "updates_per_second": 5.0,
        "samples_per_second": 320.0,
        "timed_updates": 14,
        "timed_seconds_per_update": 0.15,
        "optimizer_share": 0.1429,
    }


def test_what_an_attempt_has_not_done_is_left_out():
    """One that went on at the last evaluation, or made two updates."""
    assert combined([process(updates=0, samples=0, timed=0, seconds=0.0)]) == {"updates": 0}
    assert "optimizer_share" not in combined([process(timed=0, seconds=0.0)])
    assert "updates_per_second" not in combined([process(updates=1, updating=0.0)])


def test_of_several_processes_the_most_memory_all_gpus_and_each_host_once():
    cost = combined(
        [
            process(gpu_memory=2**30, energy={"gpu": 100.0, "cpu_packages": 50.0}),
            process(gpu_memory=3 * 2**30, energy={"gpu": 120.0, "cpu_packages": 50.5}),
            process(host="b", gpu_memory=2**30, energy={"gpu": 90.0, "cpu_packages": 40.0}),
        ]
    )
    assert cost["peak_gpu_memory_mb"] == 3072.0
    assert cost["energy_joules"] == {"gpu": 310.0, "cpu_packages": 90.0}


def test_the_peak_of_memory_is_that_of_the_attempt(monkeypatch):
    """Of all that its process has taken before, none counts."""
    allocated = {"peak": 5 * 2**30}
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda _: allocated.update(peak=2**30))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda _: allocated["peak"])
    monkeypatch.setattr(energy, "NVML", "libno-driver-here.so.1")
    assert CostMeter(torch.device("cuda")).report(Team(), 0.0)["peak_gpu_memory_mb"] == 1024.0
    assert "peak_gpu_memory_mb" not in CostMeter(torch.device("cpu")).report(Team(), 0.0)


def test_sums_have_no_more_digits_than_what_was_added():
    parts = [process(host=host, energy={"gpu": joules}) for host, joules in (("a", 0.1), ("b", 0.2))]
    assert combined(parts)["energy_joules"] == {"gpu": 0.3}


def test_energy_that_one_process_does_not_tell_is_nobodys():
    cost = combined([process(energy={"gpu": 100.0}), process(energy={})])
    assert "energy_joules" not in cost


@pytest.mark.parametrize("optimizer", RUNS)
def test_a_record_says_what_its_run_cost(optimizer, tmp_path):
    provenance = trained(RUNS[optimizer], tmp_path)
    cost, clock = provenance["cost"], provenance["clock"]
    assert cost["updates"] == 21
    assert cost["timed_updates"] == 3
    assert cost["samples_per_second"] == pytest.approx(16 * cost["updates_per_second"], rel=1e-3)
    assert 0 < cost["optimizer_share"] < 1
    # Of a sample of updates, which need not be the quicker ones.
    assert 0 < cost["updates"] * cost["seconds_per_update"] < clock["seconds"] - clock["evaluating"] + 0.1
    assert "peak_gpu_memory_mb" not in cost
    assert provenance["machine"]["host"] == platform.node()


def test_an_export_has_columns_of_it_and_reads_records_without_it():
    made = [
        msgspec.structs.replace(record(0.5, seed=seed), provenance=provenance)
        for seed, provenance in enumerate(
            (
                {"cost": {"optimizer_share": 0.25, "energy_joules": {"gpu": 7}}},
                {},
                {"cost": "odd"},
                {"cost": {"gpu": []}},
            )
        )
    ]
    told = columns(made)
    assert told["cost.optimizer_share"] == [0.25, None, None, None]
    assert told["cost.energy_joules.gpu"] == [7.0, None, None, None]
    assert told["cost.gpu"] == [None, None, None, None]
