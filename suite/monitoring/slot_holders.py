"""Why a local launch waits: this machine's slots are held by the workers of other sweeps."""

from __future__ import annotations

from pathlib import Path

from optathlon.slurm import slots


def told(sweep: str) -> str:
    """That `sweep` "waits for a slot: all are held by rates", if all of this machine's are, and none by it; else ""."""
    holders = slots.holders()
    names = sorted(set(map(_sweep_of, holders.values())))
    free = set(slots.names()) - holders.keys()
    return f"waits for a slot: all are held by {', '.join(names)}" if names and not free and sweep not in names else ""


def _sweep_of(pid: int) -> str:
    """The sweep that the worker `pid`, or whose child it is, was started for."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return f"process {pid}"
    at = words.index("work") + 1 if "work" in words else len(words)
    return words[at] if at < len(words) and words[at] else f"process {pid}"
