"""What a cluster's words mean: jobs that are held or can never start, how jobs ended, how many copies are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from optathlon.slurm import site
from optathlon.slurm.cluster import Job
from optathlon.slurm.slurm import SlurmCluster


def queued(state: str, reason: str) -> site.Queued:
    return site.Queued("7_0", state, reason, "ana", "job")


@pytest.mark.parametrize(
    ("state", "reason", "held", "never"),
    [
        ("PENDING", "JobHeldUser", True, False),
        ("PENDING", "JobHeldAdmin", True, False),
        ("PENDING", "JobHoldMaxRequeue", True, False),
        ("PENDING", "launch failed requeued held", True, False),
        ("PENDING", "job requeued in held state", True, False),
        ("REQUEUE_HOLD", "None", True, False),
        ("SPECIAL_EXIT", "None", True, False),
        ("PENDING", "DependencyNeverSatisfied", False, True),
        ("PENDING", "BadConstraints", False, True),
        ("PENDING", "PartitionTimeLimit", False, True),
        ("PENDING", "QOSMaxWallDurationPerJobLimit", False, True),
        ("PENDING", "QOSMaxCpuPerJobLimit", False, True),
        ("PENDING", "QOSMaxGRESPerNode", False, True),
        ("PENDING", "QOSMinGRES", False, True),
        ("PENDING", "AssocMaxMemPerJob", False, True),
        ("PENDING", "InvalidQOS", False, True),
        ("PENDING", "QOSMaxJobsPerUserLimit", False, False),
        ("PENDING", "AssocMaxJobsLimit", False, False),
        ("PENDING", "AssocGrpCpuLimit", False, False),
        ("PENDING", "QOSMaxGRESPerUser", False, False),
        ("PENDING", "PartitionNodeLimit", False, False),  # also where nodes are drained
        ("PENDING", "ReqNodeNotAvail, UnavailableNodes:node1", False, False),
        ("PENDING", "Dependency", False, False),
        ("PENDING", "Priority", False, False),
        ("RUNNING", "None", False, False),
        ("CANCELLED", "JobHeldUser", False, False),
    ],
)
def test_a_job_that_waits_is_held_can_never_start_or_will(state, reason, held, never):
    job = queued(state, reason)
    assert (job.held, job.never) == (held, never)


def test_how_a_job_ended_is_known_from_the_queue_where_there_is_no_accounting(monkeypatch):
    cluster = SlurmCluster()
    cluster.site = site.Site(name="c", version="", max_array_size=10, requeues=True, accounting=False)
    lines = "7_0|TIMEOUT|None|ana|job\n7_1|RUNNING|None|ana|job\n8|FAILED|None|ana|other\n"
    monkeypatch.setattr(site, "ask", lambda *_: lines)
    handle = "slurm:c:ana:job"
    assert cluster.ended([f"{handle}:7_{i}" for i in range(3)] + [f"{handle}:8"]) == {f"{handle}:7_0": "TIMEOUT"}


def test_how_a_job_ended_is_left_out_where_accounting_has_a_state_that_ends_none(monkeypatch):
    cluster = SlurmCluster()
    cluster.site = site.Site(name="c", version="", max_array_size=10, requeues=True, accounting=True)
    states = ("CANCELLED by 1000", "RUNNING", "SOME_STATE_OF_2030")
    accounted = "".join(f"7_{i}|{state}|job\n" for i, state in enumerate(states))
    monkeypatch.setattr(site, "ask", lambda command, *_: accounted if command == "sacct" else "")
    handle = "slurm:c:ana:job"
    assert cluster.ended([f"{handle}:7_{i}" for i in range(3)]) == {f"{handle}:7_0": "CANCELLED"}


@pytest.mark.parametrize(("limit", "copies", "expected"), [(5, 3, 3), (5, 5, 5), (5, 100, 5), (0, 7, 0), (1, 2, 1)])
def test_as_many_copies_are_admitted_as_the_controller_takes(monkeypatch, limit, copies, expected):
    cluster = SlurmCluster()
    cluster.site = site.Site(name="c", version="", max_array_size=50, requeues=True, accounting=True)
    full = "sbatch: AssocGrpSubmitJobsLimit; allocation failure: Job violates accounting/QOS policy"
    monkeypatch.setattr(SlurmCluster, "_refusal", lambda _, job: full if job.copies > limit else "")
    assert cluster.admitted(Job((), "job", Path("/jobs"), copies=copies)) == expected


@pytest.mark.parametrize(
    "state", ["COMPLETED", "CANCELLED", "FAILED", "TIMEOUT", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED"]
)
def test_a_job_is_over_in_the_states_that_end_one(state):
    assert queued(state, "None").over


@pytest.mark.parametrize(
    "state", ["RUNNING", "PENDING", "COMPLETING", "STAGE_OUT", "POWER_UP_NODE", "SOME_STATE_OF_2030"]
)
def test_a_job_in_any_other_state_is_alive_also_in_one_that_we_do_not_know(state):
    assert not queued(state, "None").over
