"""Why a local launch waits: this machine's slots are held by the workers of other sweeps."""

from __future__ import annotations

from pathlib import Path

from optathlon.slurm import slots


def waiting_message(sweep: str) -> str:
    """Says "waits for a slot: all are held by rates" if others hold all slots of this machine and `sweep` none; else
    ""."""
    holders = slots.holders()
    names = sorted(set(map(_sweep_of, holders.values())))
    free = set(slots.names()) - holders.keys()
    return f"waits for a slot: all are held by {', '.join(names)}" if names and not free and sweep not in names else ""


def _sweep_of(pid: int) -> str:
    """Returns the sweep that process `pid` works for: a worker's command line, which its children inherit, names it."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8", errors="replace").split("\0")
    except OSError:
        return f"process {pid}"
    position = words.index("work") + 1 if "work" in words else len(words)
    return words[position] if position < len(words) and words[position] else f"process {pid}"
