"""Follows a launched sweep: one line on a terminal, one log line per half minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.results.text.columns import cut
from optathlon.suite.console import columns, say
from optathlon.suite.monitoring import slot_holders, status

LOG_SECONDS, SCREEN_SECONDS = 30.0, 1.0


def follow(store: Store, plan: Plan, alive: Callable[[], int]) -> status.Overview:
    """Tell how `plan` gets on until no worker is alive; KeyboardInterrupt leaves and harms nothing."""
    teller = Teller()
    try:
        while True:
            begun = time.monotonic()
            workers = alive()
            seen = status.overview(store, plan)
            waits = "" if seen.running or not seen.todo else slot_holders.told(plan.head.name)
            teller.tell(line(seen, workers, waits), last=not workers)
            if not workers:
                return seen
            time.sleep(pause(time.monotonic() - begun))
    except KeyboardInterrupt:
        teller.close()
        raise


def pause(taken: float) -> float:
    """Seconds until the next look after one that took `taken`: looking takes at most a tenth of the time."""
    return max(SCREEN_SECONDS, 9 * taken)


class Teller:
    """Shows the latest of many lines: in place on a terminal, one per half minute (and the last) elsewhere."""

    def __init__(self) -> None:
        self.screen = sys.stderr.isatty()
        self.told = -LOG_SECONDS

    def tell(self, text: str, left: float = 0.0, last: bool = False) -> None:
        """Show `text`; left: estimated seconds."""
        text = f"about {duration(left)} left · {text}" if left else text
        if self.screen:
            # A line that fills the whole width would leave a copy of itself at each look.
            shown = cut(text, (columns(sys.stderr) or 80) - 1)
            print(f"\r\x1b[2K{shown}", end="\n" if last else "", file=sys.stderr, flush=True)
        elif last or time.monotonic() - self.told >= LOG_SECONDS:
            self.told = time.monotonic()
            say(text)

    def close(self) -> None:
        """End the line on a terminal."""
        if self.screen:
            print(file=sys.stderr)


def line(seen: status.Overview, workers: int, waits: str = "") -> str:
    """One line that says it all, first what is looked for most, as the line may be cut: "about 2 min left · toys: 17/24
    done · 2 running (adamw on ptb-awd-lstm 40 %)". "roughly": runs like which none was measured count as the others do
    on average. waits: why none runs."""
    done = seen.counts["finished"] + seen.counts["diverged"]
    parts = [f"{'roughly' if seen.unknown else 'about'} {duration(seen.eta)} left"] if seen.eta else []
    parts.append(f"{seen.plan.head.name}: {done}/{seen.total} done")
    if seen.running:
        parts.append(f"{len(seen.running)} running ({', '.join(_running(r) for r in seen.running[:2])})")
    parts += [f"{seen.counts[kind]} {kind}" for kind in ("diverged", "failed") if seen.counts[kind]]
    if again := sum(len(t.runs) - t.final for t in seen.errors):
        parts.append(f"{again} to be tried again")
    if held := sum(len(h.runs) for h in seen.held):
        parts.append(f"{held} held back")
    parts += [waits] if waits else []
    if not workers and seen.left:
        parts.append("no worker is alive here")
    return " · ".join(parts)


def troubles(seen: status.Overview) -> list[str]:
    """Lines for people: what failed, in which class, with advice; and what is held back, and why."""
    lines = []
    for trouble in seen.errors:
        again = len(trouble.runs) - trouble.final
        counts = [f"{trouble.final} failed"] if trouble.final else []
        counts += [f"{again} stopped, to be tried again"] if again else []
        lines.append(f"{', '.join(counts)}: {trouble.reason} ({_some(trouble.runs)})")
        lines.append(f"  {trouble.what}: {trouble.advice}")
    for held in seen.held:
        where = f" on {', '.join(held.hosts)}" if held.hosts else ""
        lines.append(f"{len(held.runs)} waiting{where}, {held.why} ({_some(held.runs)})")
    return lines


def _some(runs: list[str]) -> str:
    return f"{', '.join(runs[:3])}{', ...' if len(runs) > 3 else ''}"


def _running(running: status.Running) -> str:
    return f"{running.run.row} on {running.run.column} {running.progress:.0%}"


def duration(seconds: float) -> str:
    """ "40 s", "12 min", "3.4 h": as exact as an estimate is."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
