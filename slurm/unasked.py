"""Job scripts where there is no Slurm: a cluster with Slurm's defaults that is never asked anything."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

from optathlon.slurm.cluster import Alive, Job
from optathlon.slurm.site import Site
from optathlon.slurm.slurm import SlurmCluster

if TYPE_CHECKING:
    from submitit import SlurmExecutor

DEFAULTS = Site(name="cluster", version="", max_array_size=1001, requeues=True, accounting=False)
"""Slurm's own defaults of what its controller would have been asked for (slurm.conf: MaxArraySize, JobRequeue)."""


class UnaskedCluster(SlurmCluster):
    """A cluster without jobs and without limits that accepts everything; only its `scripts` is of use."""

    @cached_property
    def site(self) -> Site:
        return DEFAULTS

    def check(self, job: Job) -> str:
        return ""

    def admitted(self, job: Job) -> int:
        return min(job.copies, self.site.max_array_size)

    def alive(self, handles: Iterable[str]) -> dict[str, Alive]:
        return {handle: Alive() for handle in handles}

    def _executor_class(self) -> type[SlurmExecutor]:
        import submitit

        class Elsewhere(submitit.SlurmExecutor):
            """submitit's executor without its search for srun on this machine."""

            @classmethod
            def affinity(cls) -> int:
                return 1

        return Elsewhere
