"""A fault that an audit found, and what kinds of fault there are."""

from __future__ import annotations

import msgspec

FAULTS = {
    "unequal settings": "who tries more settings finds a better one",
    "unequal tuning seeds": "a mean over more seeds chooses better",
    "unequal report seeds": "rows are judged by unlike numbers of runs",
    "unlike seeds": "who chooses seeds for a row takes the lucky ones",
    "unequal length": "who trains longer gets further",
    "edge": "the best value may lie beyond the values that were tried",
    "chosen on test": "what chooses a setting is no longer a test of it",
    "test seen": "settings were reported that were not chosen: test scores were there to choose by",
    "seed tunes and reports": "the winner was picked for being lucky with this very seed",
    "seeds added": "to look and go on until it is significant finds a difference in the end",
    "seeds dropped": "results that were there are not shown",
    "row dropped": "results that were there are not shown",
    "task dropped": "results that were there are not shown",
    "rules changed": "who has seen results can take the rule by which they look best",
    "failed run": "what is shown is of survivors",
    "unfinished": "what is shown is not what was planned",
    "hidden divergence": "a run that diverged counts as finished",
    "false divergence": "a run that did not diverge counts as the worst",
    "unusable record": "the board leaves out what it has no score of",
    "forgotten": "an outcome was moved away, and its run could be repeated until it pleased",
    "unplanned seeds": "there are more runs of a setting than are shown",
    "altered record": "what is written is not what was run",
    "altered plan": "what is written is not what was planned",
    "off its curve": "a score is none of those that the run measured",
    "copied record": "two seeds cannot train alike: one is a copy",
    "unreadable": "nobody can check it",
    "mixed code": "rows may differ by the code and not by the optimizer",
    "mixed libraries": "rows may differ by the libraries and not by the optimizer",
    "mixed data": "scores of unlike data are compared",
    "one seed": "without a deviation nothing can be said of a difference",
    "no provenance": "what the checklists ask for cannot be answered",
}
"""Every kind of fault, and why it matters."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One fault of one sweep, or of the store."""

    fault: str
    """One of FAULTS."""
    sweep: str
    """Empty for what no sweep plans."""
    where: str
    """The row, task, cell or run that it is about."""
    what: str
    """What was found, in words, with numbers."""
