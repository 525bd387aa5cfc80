"""Follows a launched sweep: one line on a terminal, one log line per half minute elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from optathlon.results import Store
from optathlon.results.plan import Plan
from optathlon.results.text.columns import cut
from optathlon.suite.console import columns, print_on_stderr, say
from optathlon.suite.monitoring import slot_holders, status

LOG_SECONDS, SCREEN_SECONDS = 30.0, 1.0
"""The least time between two lines in a log, and between two looks on a terminal."""


def follow(store: Store, plan: Plan, alive: Callable[[], int]) -> status.Overview:
    """Shows how `plan` gets on until no worker is alive. KeyboardInterrupt ends the showing only, not the workers."""
    teller = Teller()
    try:
        while True:
            begun = time.monotonic()
            workers = alive()
            overview = status.overview(store, plan)
            waits = "" if overview.running or not overview.todo else slot_holders.waiting_message(plan.head.name)
            teller.tell(line(overview, workers, waits), last=not workers)
            if not workers:
                return overview
            time.sleep(pause(time.monotonic() - begun))
    except KeyboardInterrupt:
        teller.close()
        raise


def pause(taken: float) -> float:
    """Returns the seconds until the next look after one that took `taken`, so that looks take a tenth of the time at
    most."""
    return max(SCREEN_SECONDS, 9 * taken)


class Teller:
    """Shows the latest of many lines: in place on a terminal; elsewhere one per half minute, and the last."""

    def __init__(self) -> None:
        self.screen = sys.stderr.isatty()
        self.told = -LOG_SECONDS

    def tell(self, text: str, left: float = 0.0, last: bool = False) -> None:
        """Shows `text`, with the estimated seconds that are `left` in front."""
        text = f"about {duration(left)} left · {text}" if left else text
        if self.screen:
            # A line that fills the whole width would leave a copy of itself at each look.
            shown = cut(text, (columns(sys.stderr) or 80) - 1)
            print_on_stderr(f"\r\x1b[2K{shown}", end="\n" if last else "")
        elif last or time.monotonic() - self.told >= LOG_SECONDS:
            self.told = time.monotonic()
            say(text)

    def close(self) -> None:
        """Ends the line on a terminal."""
        if self.screen:
            print_on_stderr("")


def line(overview: status.Overview, workers: int, waits: str = "") -> str:
    """Returns one line on a sweep: "about 2 min left · toys: 17/24 done · 2 running (adamw on ptb-awd-lstm 40 %)".

    The line may be cut, so what is looked for most comes first. "roughly" in place of "about": some runs are like none
    that was measured, and count as the others do on average. waits: why none runs.
    """
    done = overview.counts["finished"] + overview.counts["diverged"]
    parts = [f"{'roughly' if overview.unknown else 'about'} {duration(overview.eta)} left"] if overview.eta else []
    parts.append(f"{overview.plan.head.name}: {done}/{overview.total} done")
    if overview.running:
        parts.append(f"{len(overview.running)} running ({', '.join(_running(r) for r in overview.running[:2])})")
    parts += [f"{overview.counts[kind]} {kind}" for kind in ("diverged", "failed") if overview.counts[kind]]
    if again := sum(len(t.runs) - t.final for t in overview.errors):
        parts.append(f"{again} to be tried again")
    if held := sum(len(h.runs) for h in overview.held):
        parts.append(f"{held} held back")
    parts += [waits] if waits else []
    if not workers and overview.left:
        parts.append("no worker is alive here")
    return " · ".join(parts)


def troubles(overview: status.Overview) -> list[str]:
    """Returns lines for people: what failed, in which class, with advice; then what is held back, and why."""
    lines = []
    for trouble in overview.errors:
        again = len(trouble.runs) - trouble.final
        counts = [f"{trouble.final} failed"] if trouble.final else []
        counts += [f"{again} stopped, to be tried again"] if again else []
        lines.append(f"{', '.join(counts)}: {trouble.reason} ({_some(trouble.runs)})")
        lines.append(f"  {trouble.what}: {trouble.advice}")
    for held in overview.held:
        where = f" on {', '.join(held.hosts)}" if held.hosts else ""
        lines.append(f"{len(held.runs)} waiting{where}, {held.why} ({_some(held.runs)})")
    return lines


def _some(runs: list[str]) -> str:
    return f"{', '.join(runs[:3])}{', ...' if len(runs) > 3 else ''}"


def _running(running: status.Running) -> str:
    return f"{running.run.row} on {running.run.column} {running.progress:.0%}"


def duration(seconds: float) -> str:
    """Words a duration no more exactly than an estimate is: "40 s", "12 min", "3.4 h"."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
