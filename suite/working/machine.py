"""What this machine has for a run: threads, and GPUs that work."""

from __future__ import annotations

import os

from optathlon.slurm import slots
from optathlon.suite.working.forking import fork


def threads() -> int:
    """Returns the torch threads of a run: one unless the user says otherwise, so that results do not depend on the
    machine."""
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


def slots_are_gpus() -> bool:
    """Whether a slot of this machine is a GPU and not a core."""
    return any(name.startswith("gpu-") for name in slots.names())


def gpus_work() -> bool:
    """Whether a forked process can use every GPU that is visible.

    A worker asks before it takes a run: on a node with a broken GPU, run after run would fail. The child's traceback
    says why. A child, because a process that has touched CUDA cannot fork children that use it.
    """
    _, status = os.waitpid(fork(lambda _: _touch_gpus()), 0)
    return os.waitstatus_to_exitcode(status) == 0


def _touch_gpus() -> int:
    import torch

    for number in range(torch.cuda.device_count() or 1):
        torch.zeros(1, device=f"cuda:{number}")
    return 0
