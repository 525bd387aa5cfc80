"""What this machine has for a run: threads, and GPUs that work."""

from __future__ import annotations

import os

from optathlon.slurm import slots
from optathlon.suite.working.log import say


def _gpus_work() -> bool:
    """Whether a forked process can use every GPU that is visible; one node where it cannot would fail run after run."""
    pid = os.fork()
    if pid:
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    code = 1
    try:
        import torch

        for number in range(torch.cuda.device_count() or 1):
            torch.zeros(1, device=f"cuda:{number}")
        code = 0
    except Exception as error:
        say(f"{type(error).__name__}: {error}")
    finally:
        os._exit(code)


def threads() -> int:
    """Torch threads of a run: one unless the user says otherwise, so that results do not depend on the machine."""
    return int(os.environ.get("OMP_NUM_THREADS") or 1)


def slot_has_gpu() -> bool:
    return any(name.startswith("gpu-") for name in slots.names())
